/** `croft cluster join TOKEN` on the new box, and `croft node join-token` on one of the cluster; both as local root. */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pathsOf, type Config } from '../../config.ts';
import { CroftError, messageOf } from '../../errors.ts';
import { writeFileAtomic } from '../../host/files.ts';
import { createLogger } from '../../host/logger.ts';
import { runningService } from '../../install/running.ts';
import { thisNodeName } from '../../host/node-name.ts';
import { createSagaRunner } from '../../reconcile/saga.ts';
import { virtualMachine } from '../../resources/virtual-machine.ts';
import { openBoxStore } from '../../store/box/box-store.ts';
import { version } from '../../version.ts';
import { readMembership, settingsOfFounder } from '../membership.ts';
import { readIdentity, settingsOf } from '../peers/identity.ts';
import { openBoxK3s } from './box-k3s.ts';
import { knock } from './knock.ts';
import { joinSaga, type JoinContext } from './saga.ts';
import { parseToken, tokenText } from './token.ts';
import { issueToken } from './tokens.ts';

const say = (line: string): void => void process.stderr.write(`${line}\n`);
const hour = 3_600_000;

function parsed<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new CroftError('invalid-input', messageOf(cause), { cause });
  }
}

/** `--hours N`: how long it holds. */
export async function joinTokenCommand(args: string[], given: Config): Promise<number> {
  const { values } = parsed(() => parseArgs({ args, options: { hours: { type: 'string', default: '1' } } }));
  const hours = Number(values.hours);
  if (!(hours > 0 && hours <= 72))
    throw new CroftError('invalid-input', `--hours: ${values.hours} must be above 0 and at most 72.`);
  const [identity, founded] = [await readIdentity(given.data), await readMembership(given)];
  const config = founded ? settingsOfFounder(given, founded) : settingsOf(given, identity);
  if (config.store !== 'kubernetes') {
    throw new CroftError('invalid-state', 'This box is alone: there is no cluster to join.', {
      fix: ['Found one with `croft cluster init --address ADDRESS`.'],
    });
  }
  const { openKubernetesStore } = await import('../../store/kubernetes.ts');
  const store = openKubernetesStore({ kubeconfig: config.kubeconfig });
  try {
    const token = await issueToken(store, hours * hour);
    say(`For one box, until ${new Date(token.expires).toISOString()}. On it: croft cluster join TOKEN`);
    process.stdout.write(`${tokenText(token)}\n`);
  } finally {
    await store.close();
  }
  return 0;
}

/** Made at the first try and kept, so that a repeated join is known for the same box's. */
async function boxIdOf(data: string): Promise<string> {
  const file = join(data, 'box-id');
  const present = await readFile(file, 'utf8').catch(() => undefined); // None yet.
  if (present !== undefined) return present.trim();
  const made = randomUUID();
  await writeFileAtomic(file, `${made}\n`);
  return made;
}

/** Only an empty box can join: its VMs would be lost to it, for the cluster has a store of its own. */
async function refuseUnlessEmpty(config: Config): Promise<void> {
  if ((await readIdentity(config.data)) ?? (await readMembership(config)))
    throw new CroftError('invalid-state', 'This box is part of a cluster already.');
  const service = await runningService(config.run);
  if (service) {
    throw new CroftError(
      'invalid-state',
      `Croft runs on this box (pid ${service.pid}); a box joins while its service is stopped.`,
      {
        fix: ['Stop the service, run `croft cluster join` again, then start it.'],
      },
    );
  }
  const path = pathsOf(config).store;
  if ((await readdir(config.data)).every((name) => name !== 'store.db')) return;
  const { openSqliteStore } = await import('../../store/sqlite.ts');
  const store = openSqliteStore({ path });
  try {
    const { items } = await store.list(virtualMachine);
    if (items.length === 0) return;
    throw new CroftError('invalid-state', `This box has ${items.length} VMs of its own; only an empty box can join.`, {
      fix: ['Found the cluster on this box (`croft cluster init`) and let the others join, or delete its VMs.'],
    });
  } finally {
    await store.close();
  }
}

const joinOptions = {
  name: { type: 'string' },
  address: { type: 'string' },
  witness: { type: 'boolean', default: false },
  k3s: { type: 'string' },
  images: { type: 'string' },
  'kubelet-arg': { type: 'string', multiple: true },
} as const;

/** `TOKEN [--name N] --address A [--witness] [--k3s PROGRAM] [--images DIRECTORY] [--kubelet-arg K=V …]` */
export async function joinCommand(args: string[], config: Config): Promise<number> {
  const { values, positionals } = parsed(() => parseArgs({ args, options: joinOptions, allowPositionals: true }));
  const token = parseToken(positionals[0] ?? '');
  const address = values.address ?? config.address;
  if (address === '') {
    throw new CroftError('invalid-input', '--address: give this box’s address towards the others; it never changes.');
  }
  await mkdir(config.data, { recursive: true, mode: 0o711 });
  await refuseUnlessEmpty(config);
  const logger = createLogger(config.log);
  const box = openBoxStore(pathsOf(config).box, { logger });
  try {
    const images =
      values.images === undefined ? [] : (await readdir(values.images)).map((name) => join(values.images as string, name));
    const context: JoinContext = {
      boxId: await boxIdOf(config.data),
      name: values.name ?? (config.node === '' ? thisNodeName() : config.node),
      address,
      witness: values.witness,
      binary: values.k3s ?? '/usr/local/bin/k3s',
      images,
      kubeletArgs: values['kubelet-arg'] ?? [],
    };
    const saga = joinSaga({
      data: config.data,
      ask: ({ boxId, name, witness }) => knock(token, { boxId, name, address, version, witness }),
      k3s: (made) => openBoxK3s(config.data, made, logger),
      say,
    });
    const { name, answer } = await createSagaRunner(box.journal).run(saga, context.boxId, context);
    say(`${name} has joined as ${answer?.role}. Start its service: croft start`);
  } finally {
    await box.close();
  }
  return 0;
}
