/** What a request may carry: JSON, merge-patch, YAML; empty ones are welcome, with or without a content type. */
import { parseAllDocuments } from 'yaml';
import type { FastifyRequest } from 'fastify';
import { CroftError } from '../../../appliance/errors.ts';
import type { Server } from '../context.ts';

/** Bytes. A manifest is far smaller; images do not come through here. */
export const bodyLimit = 2 * 1024 * 1024;

/** As tus names it (https://tus.io/protocols/resumable-upload). */
export const pieceType = 'application/offset+octet-stream';

function parseYaml(text: string): unknown {
  const documents = parseAllDocuments(text);
  const list = Array.isArray(documents) ? documents : [];
  const values = list.map((document) => {
    const error = document.errors[0];
    if (error) throw new CroftError('invalid-input', `The YAML cannot be read: ${error.message.split('\n')[0]}`);
    try {
      // 100 is the library's own guard against alias bombs.
      return document.toJS({ maxAliasCount: 100 }) as unknown;
    } catch (cause) {
      throw new CroftError('invalid-input', 'The YAML cannot be read: it has too many aliases.', { cause });
    }
  });
  const present = values.filter((value) => value !== null && value !== undefined);
  return present.length === 1 ? present[0] : present;
}

export function useBodies(app: Server): void {
  const parseJson = (
    _request: FastifyRequest,
    body: string | Buffer,
    done: (error: Error | null, value?: unknown) => void,
  ): void => {
    const text = String(body);
    if (text.trim() === '') {
      done(null, undefined);
      return;
    }
    // Fastify's own parser refuses __proto__ and constructor poisoning.
    void app.getDefaultJsonParser('error', 'error')(_request, text, (error, value) => {
      if (error) done(new CroftError('invalid-input', `The body is not JSON: ${error.message}.`, { cause: error }));
      else done(null, value);
    });
  };
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(['application/json', 'application/merge-patch+json'], { parseAs: 'string' }, parseJson);
  app.addContentTypeParser(
    ['application/yaml', 'application/x-yaml', 'text/yaml'],
    { parseAs: 'string' },
    (_request, body, done) => {
      try {
        done(null, parseYaml(String(body)));
      } catch (error) {
        done(error as Error);
      }
    },
  );
  // Pieces of an upload go on as the stream they are; their route bounds them.
  app.addContentTypeParser(pieceType, (_request, payload, done) => done(null, payload));
  app.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => {
    const type = request.headers['content-type'];
    // virtctl's PUTs have a body and no content type.
    if (type === undefined || String(body) === '') return parseJson(request, body, done);
    done(
      new CroftError(
        'unsupported-media-type',
        `Content-Type ${JSON.stringify(type.slice(0, 80))} is not read here; send application/json.`,
      ),
    );
  });
}
