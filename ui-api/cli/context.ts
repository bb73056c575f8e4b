/**
 * Which Croft is spoken to. In this order: `--host`, `--context`, CROFT_HOST (with CROFT_TOKEN, for CI), CROFT_RUN set in
 * the environment (that box's socket), the current context of `croft login`, this box's own socket.
 * Contexts stand in `$XDG_CONFIG_HOME/croft/contexts.json`, readable by their owner only: they hold tokens.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { writeFileAtomic } from '../../appliance/host/files.ts';
import type { Endpoint } from '../client/node-transport.ts';
import { usageError } from './exit.ts';
import { nearest } from './suggest.ts';

export type Context = {
  host: string;
  token?: string;
  /** Cookie of a session, for users who may not make tokens. */
  session?: string;
  ca?: string;
  fingerprint?: string;
  project?: string;
  user?: string;
};
export type Contexts = { current?: string; contexts: Record<string, Context> };
export type Connection = Endpoint & {
  token?: string;
  session?: string;
  project?: string;
  /** For messages: where this came from. */
  from: string;
};
export type ConnectionOptions = { host?: string; context?: string; ca?: string; project?: string };

export const configDirectory = (env: NodeJS.ProcessEnv): string =>
  join(env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config'), 'croft');

export const contextsPath = (env: NodeJS.ProcessEnv): string => join(configDirectory(env), 'contexts.json');

/** @throws CliError usage when the file is there but not readable as contexts */
export function readContexts(env: NodeJS.ProcessEnv): Contexts {
  const path = contextsPath(env);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { contexts: {} };
    throw error;
  }
  try {
    const content = JSON.parse(text) as Contexts;
    return { current: content.current, contexts: content.contexts ?? {} };
  } catch (error) {
    throw usageError(
      `${path} is not readable as JSON: ${(error as Error).message}`,
      'Correct or remove the file, then sign in again.',
    );
  }
}

export async function writeContexts(env: NodeJS.ProcessEnv, contexts: Contexts): Promise<void> {
  const path = contextsPath(env);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  await writeFileAtomic(path, `${JSON.stringify(contexts, undefined, 2)}\n`, 0o600);
}

/** `host`, `host:port` or a URL as a base URL; HTTPS and port 8440 unless said otherwise. @throws CliError usage */
export function baseUrlOf(host: string): string {
  const text = /^https?:\/\//.test(host) ? host : `https://${host}`;
  if (!URL.canParse(text))
    throw usageError(`${JSON.stringify(host)} is not a host or URL.`, 'Write e.g. https://box.example:8440.');
  const url = new URL(text);
  const port = url.port || (/^https?:\/\//.test(host) ? '' : '8440');
  return `${url.protocol}//${url.hostname}${port ? `:${port}` : ''}`;
}

/** @throws CliError usage for an unknown context or a CA file that cannot be read */
export function resolveConnection(options: ConnectionOptions, env: NodeJS.ProcessEnv): Connection {
  const ca = options.ca === undefined ? undefined : readCa(options.ca);
  const project = options.project ?? env.CROFT_PROJECT;
  const token = env.CROFT_TOKEN || undefined;
  const ofHost = (host: string, from: string): Connection => ({ baseUrl: baseUrlOf(host), token, ca, project, from });
  const ofSocket = (run: string, from: string): Connection => ({
    socketPath: join(run, 'api', 'api.sock'),
    token,
    project,
    from,
  });

  if (options.host) return ofHost(options.host, '--host');
  const saved = readContexts(env);
  if (options.context) return ofContext(saved, options.context, '--context');
  if (env.CROFT_HOST) return ofHost(env.CROFT_HOST, 'CROFT_HOST');
  if (env.CROFT_RUN) return ofSocket(env.CROFT_RUN, 'CROFT_RUN');
  if (saved.current) return ofContext(saved, saved.current, 'the current context');
  return ofSocket('/run/croft', 'this box');

  function ofContext(from: Contexts, name: string, why: string): Connection {
    const context = from.contexts[name];
    if (!context) {
      const known = Object.keys(from.contexts);
      const near = nearest(name, known);
      throw usageError(
        `${why}: there is no context ${JSON.stringify(name)}${near ? `; did you mean ${near}?` : '.'}`,
        known.length > 0 ? `Contexts: ${known.join(', ')}.` : 'Make one with: croft login https://HOST:8440',
      );
    }
    return {
      baseUrl: context.host,
      token: token ?? context.token,
      session: token ? undefined : context.session,
      ca: ca ?? context.ca,
      fingerprint: ca ? undefined : context.fingerprint,
      project: project ?? context.project,
      from: `${why} (${name})`,
    };
  }
}

function readCa(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw usageError(`--ca: ${path} cannot be read: ${(error as Error).message}`);
  }
}
