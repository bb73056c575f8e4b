/** `croft kubeconfig`: the file with which kubectl, virtctl and the like find a box without Kubernetes. */
import { hostname } from 'node:os';
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { writeFileAtomic } from '../../../appliance/host/files.ts';
import { kubeconfigOf } from '../../client/kubeconfig.ts';
import { ApiProblem } from '../../client/problem.ts';
import type { Kubernetes, Token, TokenWithSecret } from '../../client/types.ts';
import { usageError } from '../exit.ts';
import { parseDuration } from '../options.ts';
import { onAction, type Session, type Shell } from '../session.ts';

type KubeconfigOptions = { file?: string; role?: Token['role']; ttl?: number };

/** ms. */
const defaultTtl = 90 * 86_400_000;

export function register(program: Command, shell: Shell): void {
  const kubeconfig = program
    .command('kubeconfig')
    .description('print a kubeconfig for this box, with a new token: kubectl and virtctl work with it')
    .option('--file <file>', 'write it there instead, readable by you only')
    .option('--role <role>', 'what the token may: viewer, operator or admin (default: operator)')
    .option('--ttl <duration>', 'how long it is good for (default 90d)', parseDuration);
  onAction<KubeconfigOptions>(kubeconfig, shell, async ({ options, session }) => {
    const { file } = options;
    // Others' clusters may stand in it: those are not ours to replace.
    if (file !== undefined && existsSync(file))
      throw usageError(
        `${file} is there already.`,
        'Name another file, and merge them with KUBECONFIG=A:B kubectl config view --flatten.',
      );
    const { body } = await session.client.request<Kubernetes>('GET', '/v1/kubernetes');
    const { baseUrl, socketPath, project } = session.connection;
    // From elsewhere the box is where we reached it; its own word is for its own shell.
    const reached = socketPath ? undefined : baseUrl;
    const wish = { reached, token: await tokenFor(session, options), namespace: project ?? 'default' };
    const text = stringify(kubeconfigOf(body, wish));
    if (file === undefined) return session.print(text);
    await writeFileAtomic(file, text, 0o600);
    session.say(`${file} is written. Use it with: KUBECONFIG=${file} kubectl get vm`);
  });
}

/** A token of its own; who may make none gives the one it signed in with. */
async function tokenFor(session: Session, { role = 'operator', ttl = defaultTtl }: KubeconfigOptions): Promise<string> {
  const host = hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 40);
  const name = `kubectl-${host}-${Date.now().toString(36)}`;
  const body = { name, role, ttlSeconds: Math.round(ttl / 1000), description: 'croft kubeconfig' };
  try {
    const secret = ((await session.client.tokens.create(body)).body as TokenWithSecret).secret;
    session.say(`Token ${name} (${role}) is made; croft token delete ${name} ends it.`);
    return secret;
  } catch (error) {
    const own = session.connection.token;
    if (!(error instanceof ApiProblem && error.status === 403) || own === undefined) throw error;
    session.say('Your role makes no tokens: it holds the one that you are signed in with.');
    return own;
  }
}
