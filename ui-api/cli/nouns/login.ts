/** `croft login` and `logout`: a context with a token of its own, made by user name and password or taken as given. */
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { Command } from 'commander';
import { isLoopback } from '../../../appliance/host/loopback.ts';
import { createNodeClient } from '../../client/node.ts';
import type { Client } from '../../client/client.ts';
import type { Endpoint } from '../../client/node-transport.ts';
import { ApiProblem, Unreachable } from '../../client/problem.ts';
import type { TokenWithSecret } from '../../client/types.ts';
import { baseUrlOf, readContexts, writeContexts, type Context } from '../context.ts';
import { CliError, exitCodes, usageError } from '../exit.ts';
import { readAll, type Io } from '../io.ts';
import { parseDuration } from '../options.ts';
import { ask, askHidden, confirm } from '../prompt.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { shownCertificate } from '../trust.ts';

type LoginOptions = { name?: string; user?: string; passwordStdin?: boolean; tokenStdin?: boolean; ttl?: number; ca?: string };

/** Life of the token `login` makes. */
const defaultTtl = 90 * 86_400_000;

export function registerLogin(program: Command, shell: Shell): void {
  const login = program
    .command('login <host>')
    .description('sign in to a Croft and make it the current context')
    .option('--name <name>', 'name of the context (default: the host)')
    .option('--user <name>', 'user name')
    .option('--password-stdin', 'take the password from standard input')
    .option('--token-stdin', 'take an API token from standard input instead')
    .option('--ttl <duration>', 'life of the sign-in (default 90d)', parseDuration)
    .option('-y, --yes', 'trust the certificate it shows without asking');
  onAction<LoginOptions>(login, shell, async ({ args: [host = ''], options, session }) => {
    const baseUrl = baseUrlOf(host);
    const trust = await trustOf(session, baseUrl, options);
    const signedIn = options.tokenStdin
      ? await withToken({ baseUrl, ...trust }, (await readAll(session.io.stdin)).trim())
      : await withPassword({ baseUrl, ...trust }, session.io, options);
    const name = options.name ?? new URL(baseUrl).hostname;
    const saved = readContexts(session.io.env);
    const context: Context = { host: baseUrl, ...trust, ...signedIn };
    await writeContexts(session.io.env, { current: name, contexts: { ...saved.contexts, [name]: context } });
    if (signedIn.session) session.say('Your role makes no tokens: this sign-in lasts as long as its session (hours).');
    session.say(`Signed in to ${baseUrl} as ${signedIn.user}. The current context is ${name}.`);
  });
}

/** What makes the host's certificate trusted: the system, an authority, or a person's word on its fingerprint. */
async function trustOf(session: Session, baseUrl: string, options: LoginOptions): Promise<Pick<Endpoint, 'ca' | 'fingerprint'>> {
  const { protocol, hostname: host } = new URL(baseUrl);
  if (protocol === 'http:') {
    if (!isLoopback(host)) throw usageError(`${baseUrl} would carry the password in the clear.`, 'Use https://.');
    return {};
  }
  if (options.ca) return { ca: await readFile(options.ca, 'utf8') };
  const { trusted, fingerprint, pem } = await shownCertificate(baseUrl);
  if (trusted) return {};
  session.say(`${baseUrl} shows a certificate that this machine does not know. Its SHA-256 fingerprint:\n  ${fingerprint}`);
  await confirm(session.io, 'Compare it with the one on the box (croft shows it at start).', session.options.yes);
  return { ca: pem, fingerprint };
}

type SignedIn = Pick<Context, 'token' | 'session' | 'user'>;
type Me = { user: string; role: 'viewer' | 'operator' | 'admin' };

async function withToken(endpoint: Endpoint, token: string): Promise<SignedIn> {
  if (token === '') throw usageError('There was no token on standard input.');
  const { body } = await createNodeClient({ ...endpoint, token }).request<Me>('GET', '/v1/session');
  return { token, user: body.user };
}

/** Signs in, makes a token under the session, and ends the session: only the token is kept. */
async function withPassword(endpoint: Endpoint, io: Io, options: LoginOptions): Promise<SignedIn> {
  const user = options.user ?? (await ask(io, 'User:', 'Give --user and --password-stdin, or --token-stdin.'));
  const password = options.passwordStdin
    ? ((await readAll(io.stdin)).split(/\r?\n/)[0] ?? '')
    : await askHidden(io, 'Password:', 'Give --password-stdin, or --token-stdin.');
  const answer = await createNodeClient(endpoint).request<Me>('POST', '/v1/session', { body: { user, password } });
  const cookie = (answer.headers['set-cookie'] ?? '').split(';')[0];
  if (!cookie) throw new CliError(exitCodes.failed, 'The sign-in was accepted but gave no session.');
  const client = createNodeClient({ ...endpoint, session: cookie });
  const token = await makeToken(client, answer.body.role, options.ttl ?? defaultTtl);
  // Who may not make tokens keeps the session, for as long as it lasts.
  if (token === undefined) return { session: cookie, user };
  await endSession(client);
  return { token, user };
}

/** A token for this machine; undefined when the role may not make one. */
async function makeToken(client: Client, role: Me['role'], ttl: number): Promise<string | undefined> {
  const host = hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 40);
  const body = {
    name: `cli-${host}-${Date.now().toString(36)}`,
    role,
    ttlSeconds: Math.round(ttl / 1000),
    description: 'croft login',
  };
  try {
    const made = await client.tokens.create(body);
    return (made.body as TokenWithSecret).secret;
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 403) return undefined;
    throw error;
  }
}

async function endSession(client: Client): Promise<void> {
  try {
    await client.request('DELETE', '/v1/session');
  } catch (error) {
    // It ends by itself within hours, and nobody keeps its cookie.
    if (!(error instanceof ApiProblem || error instanceof Unreachable)) throw error;
  }
}

export function registerLogout(program: Command, shell: Shell): void {
  const logout = program.command('logout [context]').description('forget a context (default: the current one) and its token');
  onAction(logout, shell, async ({ args: [given], session }) => {
    const saved = readContexts(session.io.env);
    const name = given ?? saved.current;
    if (name === undefined || !saved.contexts[name])
      throw usageError(`There is no context${name ? ` ${JSON.stringify(name)}` : ' signed in to'}.`);
    const { [name]: _forgotten, ...contexts } = saved.contexts;
    await writeContexts(session.io.env, { current: saved.current === name ? undefined : saved.current, contexts });
    session.say(`Context ${name} is forgotten. Its token stays good until it expires: croft token delete ends it at once.`);
  });
}
