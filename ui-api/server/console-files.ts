/**
 * Serves the built console: index.html at each of its addresses (never cached: it names the build's files), hashed files
 * under /assets for ever. Compressed files lie ready on the disk. While there is no build yet, the addresses that have a
 * plain page (/, /signin, /setup) show that, the others say that the console is being built.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { CroftError } from '../../appliance/errors.ts';
import { consoleDist, currentBuild } from '../console/build.ts';
import { consolePaths } from '../console/paths.ts';
import type { Server } from './context.ts';

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.woff': 'font/woff',
  '.json': 'application/json',
};
const forEver = 'public, max-age=31536000, immutable';
const encodings = [
  { name: 'br', suffix: '.br' },
  { name: 'gzip', suffix: '.gz' },
] as const;

/** Pages that the API has itself while there is no build. */
const plainPages: readonly string[] = ['/', '/signin', '/setup'];

const buildingPage = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2"><title>Croft</title></head>
<body><p role="status">The console is being built; this page loads it as soon as it is ready. The API answers already.</p></body></html>
`;

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

const accepts = (request: FastifyRequest, encoding: string): boolean =>
  new RegExp(`(^|[,\\s])${encoding}\\s*(;\\s*q=(?!0(\\.0*)?\\s*(,|$))[\\d.]+)?\\s*(,|$)`).test(
    String(request.headers['accept-encoding'] ?? ''),
  );

/** Sends a file in the best form the browser takes; undefined when there is no such file. */
async function sendFile(request: FastifyRequest, reply: FastifyReply, path: string): Promise<FastifyReply | undefined> {
  const wanted = encodings.filter(({ name }) => accepts(request, name));
  for (const { name, suffix } of [...wanted, { name: undefined, suffix: '' }]) {
    const content = await readIfThere(`${path}${suffix}`);
    if (!content) continue;
    reply.type(types[extname(path)] ?? 'application/octet-stream').header('vary', 'accept-encoding');
    if (name) reply.header('content-encoding', name);
    return reply.send(content);
  }
  return undefined;
}

/** index.html of the current build, or nothing while there is none. */
async function sendIndex(request: FastifyRequest, reply: FastifyReply, dist: string): Promise<FastifyReply | undefined> {
  const directory = await currentBuild(dist);
  if (directory === undefined) return undefined;
  const etag = `"${createHash('sha256').update(directory).digest('base64url').slice(0, 22)}"`;
  reply.header('cache-control', 'no-cache').header('etag', etag);
  if (request.headers['if-none-match'] === etag) return reply.code(304).send();
  return await sendFile(request, reply, join(directory, 'index.html'));
}

/** The file in the current build, or in the one before: pages opened before an update still load their parts. */
async function sendAsset(
  request: FastifyRequest,
  reply: FastifyReply,
  dist: string,
  file: string,
): Promise<FastifyReply | undefined> {
  const current = await currentBuild(dist);
  if (current === undefined) return undefined;
  const others = (await readdir(dist)).filter((name) => !name.startsWith('.')).map((name) => join(dist, name));
  for (const directory of new Set([current, ...others])) {
    const sent = await sendFile(request, reply, join(directory, 'assets', file));
    if (sent) return sent;
  }
  return undefined;
}

/** Registers the console's addresses. Call it before the routes of the plain pages, which stay for want of a build. */
export function consoleFiles(app: Server, { dist = consoleDist }: { dist?: string } = {}): void {
  const config = { permission: 'open' } as const;

  app.addHook('preHandler', async (request, reply) => {
    if (['GET', 'HEAD'].includes(request.method) && plainPages.includes(request.routeOptions.url ?? ''))
      return await sendIndex(request, reply, dist);
    return undefined;
  });

  const page = async (request: FastifyRequest, reply: FastifyReply) =>
    (await sendIndex(request, reply, dist)) ??
    reply.code(503).header('retry-after', '2').type('text/html; charset=utf-8').send(buildingPage);
  for (const path of consolePaths.filter((each) => !plainPages.includes(each))) {
    for (const url of [path, `${path}/*`]) {
      app.get(url, { config, schema: { summary: 'Console', hide: true }, handler: page });
    }
  }

  app.get('/assets/:file', {
    config,
    schema: {
      summary: 'Parts of the console',
      hide: true,
      params: Type.Object({ file: Type.String({ pattern: '^[\\w-][\\w.-]*$', maxLength: 200 }) }),
    },
    handler: async (request, reply) => {
      const { file } = request.params as { file: string };
      const sent = await sendAsset(request, reply.header('cache-control', forEver), dist, file);
      if (sent) return sent;
      reply.header('cache-control', 'no-store');
      throw new CroftError('not-found', `The console has no part ${file}; load its page again.`);
    },
  });

  app.get('/favicon.svg', {
    config,
    schema: { summary: 'Icon of the console', hide: true },
    handler: async (request, reply) => {
      const directory = await currentBuild(dist);
      const sent =
        directory && (await sendFile(request, reply.header('cache-control', 'max-age=86400'), join(directory, 'favicon.svg')));
      if (sent) return sent;
      throw new CroftError('not-found', 'The console is not built yet.');
    },
  });
}
