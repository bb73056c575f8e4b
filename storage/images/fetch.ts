/**
 * Downloads of images over HTTP(S): resumed by byte ranges, tried again after failures, bounded in size, checked.
 *
 * The partial file and what the server said about it (`FILE.part`, `FILE.part.json`) stay on failure, so that the next
 * try, also one after a restart, goes on where this one ended. `If-Range` makes the server send the whole file when
 * it has changed meanwhile. Every address is judged when it is connected to, so neither a redirect nor a name that
 * changes its answer reaches the box itself.
 */
import { createHash } from 'node:crypto';
import { lookup as dnsLookup } from 'node:dns';
import { createReadStream } from 'node:fs';
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { PassThrough } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { CroftError, isCroftError, messageOf } from '../../appliance/errors.ts';
import { humanBytes } from '../../appliance/resources/quantity.ts';
import type { Progress } from '../driver.ts';
import { refusalOf } from './addresses.ts';

export type FetchOptions = {
  url: string;
  /** Where the whole file is put. */
  file: string;
  /** `sha256:<hex>` or `sha512:<hex>` of the whole file. */
  checksum?: string;
  /** Bytes; more are refused. */
  maxSize: number;
  progress?: Progress;
  signal?: AbortSignal;
  /** Refuses plain http, also behind a redirect: for what nothing else vouches for. */
  httpsOnly?: boolean;
  /** Lets the box's own and loopback addresses be asked. */
  allowOwnAddresses?: boolean;
  /** Tries in a row that bring nothing new before it gives up. Default 5. */
  attempts?: number;
  /** ms of the first wait between tries; doubles up to 30 s. Default 1000. */
  retryDelay?: number;
  /** ms without a byte until a connection counts as dead. Default 30 000. */
  idleTimeout?: number;
};

const maxRedirects = 10;
const longestDelay = 30_000;

type Validator = { url: string; etag?: string; lastModified?: string };

/** A failure worth another try, as against one that will stay. */
class Transient extends Error {}

/**
 * Fetches the file.
 * @returns its size in bytes and its checksum (of the asked algorithm, or sha256).
 * @throws CroftError `download-failed`, `too-large`, `checksum-mismatch`, `invalid-input`
 */
export async function fetchFile(options: FetchOptions): Promise<{ size: number; checksum: string }> {
  const part = `${options.file}.part`;
  let failures = 0;
  for (let before = await sizeOf(part); ; ) {
    try {
      await attempt(options, part);
      break;
    } catch (error) {
      options.signal?.throwIfAborted();
      if (isCroftError(error) || !(error instanceof Transient)) throw error;
      const now = await sizeOf(part);
      failures = now > before ? 1 : failures + 1;
      before = now;
      if (failures >= (options.attempts ?? 5)) {
        throw new CroftError(
          'download-failed',
          `${shown(options.url)}: ${error.message} (${failures} tries, ${humanBytes(now)} fetched).`,
          {
            cause: error,
          },
        );
      }
      await delay(Math.min((options.retryDelay ?? 1000) * 2 ** (failures - 1), longestDelay), undefined, {
        signal: options.signal,
      });
    }
  }
  const checksum = await verify(options, part);
  await rename(part, options.file);
  await rm(`${part}.json`, { force: true });
  return { size: await sizeOf(options.file), checksum };
}

async function verify(options: FetchOptions, part: string): Promise<string> {
  const [algorithm = 'sha256', wanted] = (options.checksum ?? 'sha256').split(':');
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(part, { signal: options.signal })) hash.update(chunk as Buffer);
  const found = hash.digest('hex');
  if (wanted !== undefined && found !== wanted) {
    // What was fetched is worthless: the next try has to begin anew.
    await rm(part, { force: true });
    await rm(`${part}.json`, { force: true });
    throw new CroftError(
      'checksum-mismatch',
      `checksum: the file has ${algorithm}:${found}, expected was ${algorithm}:${wanted}.`,
    );
  }
  return `${algorithm}:${found}`;
}

async function attempt(options: FetchOptions, part: string): Promise<void> {
  const validator = await readValidator(part, options.url);
  const have = validator ? await sizeOf(part) : 0;
  const condition = validator?.etag ?? validator?.lastModified;
  const headers = have > 0 && condition ? { range: `bytes=${have}-`, 'if-range': condition } : undefined;
  const response = await follow(options, headers);
  try {
    // At once: what comes and breaks while a file is opened would be missed.
    await receive(options, part, response, bodyOf(response), headers ? have : 0);
  } finally {
    response.destroy();
  }
}

async function receive(
  options: FetchOptions,
  part: string,
  response: IncomingMessage,
  { body, broken }: Body,
  have: number,
): Promise<void> {
  const status = response.statusCode ?? 0;
  if (status === 416) {
    await rm(part, { force: true });
    throw new Transient('the server does not have the rest of the file');
  }
  if (status !== 200 && status !== 206) {
    const said = `the server answered ${status} ${response.statusMessage ?? ''}`.trim();
    if (status >= 500 || status === 408 || status === 429) throw new Transient(said);
    throw new CroftError('download-failed', `${shown(options.url)}: ${said}.`);
  }
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers['content-range'] ?? '');
  const start = status === 206 ? Number(range?.[1] ?? Number.NaN) : 0;
  if (start !== 0 && start !== have) throw new Transient(`the server sent bytes from ${start}, asked were those from ${have}`);
  const total = expectedSize(response, start, range?.[2]);
  if (total !== undefined && total > options.maxSize) throw tooLarge(options, total);
  await writeFile(`${part}.json`, JSON.stringify(validatorOf(options.url, response)));

  const handle = await open(part, start === 0 ? 'w' : 'a');
  let done = start;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      done += chunk.length;
      if (done > options.maxSize) throw tooLarge(options, done);
      await handle.write(chunk);
      options.progress?.(done, total ?? Math.max(done, 1));
    }
    await handle.sync();
    const error = broken();
    if (error) throw error;
  } catch (error) {
    if (isCroftError(error)) throw error;
    if (['ENOSPC', 'EDQUOT', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '')) {
      throw new CroftError('insufficient-storage', `No space for the download after ${humanBytes(done)}.`, { cause: error });
    }
    throw new Transient(`the connection broke after ${humanBytes(done)} (${messageOf(error)})`);
  } finally {
    await handle.close();
  }
  if (total !== undefined && done !== total)
    throw new Transient(`the connection ended after ${humanBytes(done)} of ${humanBytes(total)}`);
}

type Body = { body: PassThrough; broken: () => Error | undefined };

/**
 * What arrives, also of a connection that breaks: an answer's own iterator drops what it holds then, so that a server that
 * breaks each connection early would never be got to the end of.
 */
function bodyOf(response: IncomingMessage): Body {
  const body = new PassThrough();
  let error: Error | undefined;
  response.on('error', (found) => {
    error = found;
  });
  response.once('close', () => body.end());
  response.pipe(body);
  return { body, broken: () => error };
}

const tooLarge = ({ url, maxSize }: FetchOptions, size: number): CroftError =>
  new CroftError('too-large', `${shown(url)}: the file has ${humanBytes(size)} or more; ${humanBytes(maxSize)} are allowed.`);

function expectedSize(response: IncomingMessage, start: number, rangeTotal: string | undefined): number | undefined {
  if (rangeTotal !== undefined && rangeTotal !== '*') return Number(rangeTotal);
  const length = response.headers['content-length'];
  return length === undefined ? undefined : start + Number(length);
}

/** The answer behind all redirects. */
async function follow(options: FetchOptions, headers: Record<string, string> | undefined): Promise<IncomingMessage> {
  let url = parse(options.url);
  for (let hop = 0; hop <= maxRedirects; hop++) {
    if (options.httpsOnly && url.protocol !== 'https:') {
      throw new CroftError('download-failed', `${shown(options.url)}: leads to plain http (${url.host}); that is refused.`);
    }
    const response = await ask(url, options, headers);
    const { location } = response.headers;
    if (!location || ![301, 302, 303, 307, 308].includes(response.statusCode ?? 0)) return response;
    response.destroy();
    url = parse(new URL(location, url).href);
  }
  throw new CroftError('download-failed', `${shown(options.url)}: more than ${maxRedirects} redirects.`);
}

function parse(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.username || url.password) {
    throw new CroftError(
      'invalid-input',
      `url: ${JSON.stringify(shown(text))} is not an http or https address without user and password.`,
    );
  }
  return url;
}

function ask(url: URL, options: FetchOptions, headers: Record<string, string> | undefined): Promise<IncomingMessage> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  // A literal address is never looked up.
  if (isIP(host)) assertAllowed(host, options);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const request = send(url, {
    headers: { 'user-agent': 'croft', accept: '*/*', 'accept-encoding': 'identity', ...headers },
    lookup: guardedLookup(options),
    timeout: options.idleTimeout ?? 30_000,
    agent: false,
    ...(options.signal ? { signal: options.signal } : {}),
  });
  request.on('timeout', () => request.destroy(new Error(`no byte for ${(options.idleTimeout ?? 30_000) / 1000} s`)));
  request.on('response', resolve);
  request.on('error', (error) => reject(isCroftError(error) ? error : new Transient(messageOf(error))));
  request.end();
  return promise;
}

function assertAllowed(address: string, options: FetchOptions): void {
  const refusal = options.allowOwnAddresses ? undefined : refusalOf(address);
  if (refusal) throw new CroftError('download-failed', `url: ${shown(options.url)} leads to ${refusal}; that is refused.`);
}

/** Resolves as usual and judges each address before it is connected to. */
const guardedLookup =
  (options: FetchOptions): LookupFunction =>
  (hostname, settings, callback) => {
    dnsLookup(hostname, { ...settings, all: true }, (error, addresses) => {
      if (error) return callback(error, '', 0);
      try {
        for (const { address } of addresses) assertAllowed(address, options);
      } catch (refusal) {
        return callback(refusal as NodeJS.ErrnoException, '', 0);
      }
      if (settings.all) return callback(null, addresses);
      const [first] = addresses;
      return first ? callback(null, first.address, first.family) : callback(new Error(`${hostname} has no address`), '', 0);
    });
  };

/** An address for people: without user, password and query, which may hold secrets. */
function shown(text: string): string {
  if (!URL.canParse(text)) return text.slice(0, 200);
  const { protocol, host, pathname } = new URL(text);
  return `${protocol}//${host}${pathname}`;
}

const validatorOf = (url: string, { headers }: IncomingMessage): Validator => ({
  url,
  // A weak tag does not promise the same bytes (RFC 9110 §13.1.5).
  ...(headers.etag && !headers.etag.startsWith('W/') ? { etag: headers.etag } : {}),
  ...(headers['last-modified'] ? { lastModified: headers['last-modified'] } : {}),
});

async function readValidator(part: string, url: string): Promise<Validator | undefined> {
  try {
    const found = JSON.parse(await readFile(`${part}.json`, 'utf8')) as Validator;
    return found.url === url ? found : undefined;
  } catch {
    // None, or cut off while it was written: the download begins anew.
    return undefined;
  }
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0, // not there yet
  );
