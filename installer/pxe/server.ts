/**
 * The HTTP side of an installation over the network: scripts for iPXE, the release's files, answers for each machine,
 * and the list of those that have been installed. Answers are `MAC.yaml` (52-54-00-12-34-56.yaml) in a folder, or
 * `default.yaml` for all others. A machine that said it is installed stands in the folder's file `installed`, and
 * starts from its own disk from then on: one that starts over the network first would otherwise be erased for ever.
 */
import { createReadStream } from 'node:fs';
import { appendFile, readdir, readFile, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { CroftError, messageOf } from '../../appliance/errors.ts';
import { parseAnswers } from '../answers.ts';
import { releaseFiles } from '../release.ts';
import { firstScript, installScript, macName, passScript } from './scripts.ts';

export type PxeServerOptions = {
  /** A release: live/ and croft/. */
  medium: string;
  answers: string;
  /** `http://ADDRESS:PORT`, as machines reach it. */
  base: () => string;
  /** Added to the kernel command line of installations. */
  kernelArguments?: string;
  print: (line: string) => void;
};

/** Served as they are. */
const files = new Set<string>([...releaseFiles, 'croft/release', 'croft/sha256']);
const installedFile = 'installed';

/** Checks every answers file. @throws CroftError `invalid-input` naming what is wrong in which, `not-found` when there is none */
export async function checkAnswers(folder: string): Promise<number> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.yaml'));
  for (const name of names) {
    if (name !== 'default.yaml' && macName(name.slice(0, -'.yaml'.length)) === undefined) {
      throw new CroftError(
        'invalid-input',
        `${join(folder, name)}: must be called default.yaml, or MAC.yaml as 52-54-00-12-34-56.yaml.`,
      );
    }
    parseAnswers(await readFile(join(folder, name), 'utf8'), join(folder, name));
  }
  if (names.length > 0) return names.length;
  throw new CroftError('not-found', `${folder} has no answers: MAC.yaml for one machine, default.yaml for all others.`);
}

export function createPxeServer(options: PxeServerOptions): Server {
  return createServer((request, response) => {
    handle(options, request, response).catch((error: unknown) => {
      options.print(`${request.url}: ${messageOf(error)}`);
      if (response.headersSent) response.destroy();
      else response.writeHead(500, { 'content-type': 'text/plain' }).end(`${messageOf(error)}\n`);
    });
  });
}

async function handle(options: PxeServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? '/', 'http://pxe').pathname.slice(1);
  const [, name = '', rest] = /^machine\/([^/.]+)(.*)$/.exec(path) ?? [];
  const mac = macName(name);
  if (request.method === 'POST' && mac && rest === '/installed') {
    await appendFile(join(options.answers, installedFile), `${mac}\n`);
    options.print(`${mac} is installed; it starts from its disk from now on`);
    return void response.writeHead(204).end();
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return void response.writeHead(405).end();
  if (path === 'boot.ipxe') return sendText(response, firstScript(options.base()));
  if (mac && rest === '.ipxe') return sendText(response, await scriptFor(options, mac));
  if (mac && rest === '.yaml') {
    const answers = await answersFor(options.answers, mac);
    if (answers !== undefined) return sendText(response, answers);
  }
  if (files.has(path)) return sendFile(join(options.medium, path), request, response);
  response.writeHead(404).end();
}

async function scriptFor({ answers, base, kernelArguments, print }: PxeServerOptions, mac: string): Promise<string> {
  const installed = await readFile(join(answers, installedFile), 'utf8').catch(() => ''); // none yet
  if (installed.split('\n').includes(mac)) return passScript('this machine is installed');
  if ((await answersFor(answers, mac)) === undefined) {
    print(`${mac} has no answers: it goes on with its next boot device`);
    return passScript(`no answers for ${mac}`);
  }
  print(`${mac} begins its installation`);
  return installScript(base(), mac, kernelArguments);
}

/** Checked once more: they may have been changed since the start. */
async function answersFor(folder: string, mac: string): Promise<string | undefined> {
  for (const name of [`${mac}.yaml`, 'default.yaml']) {
    const text = await readFile(join(folder, name), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (text === undefined) continue;
    parseAnswers(text, name);
    return text;
  }
  return undefined;
}

const sendText = (response: ServerResponse, text: string): void =>
  void response.writeHead(200, { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(text) }).end(text);

async function sendFile(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { size } = await stat(path);
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': size });
  if (request.method === 'HEAD') return void response.end();
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), response);
}
