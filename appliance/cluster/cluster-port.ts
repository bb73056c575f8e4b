/**
 * The box and its Kubernetes, as the API asks for it: how it is, in words, and `init`. `settleCluster` is called before
 * the store is opened: it ends a move that is due, and says which store the box is on.
 */
import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { CroftError, isCroftError, messageOf } from '../errors.ts';
import { run } from '../host/exec.ts';
import type { ClusterPort, ClusterStatus } from '../ports.ts';
import { createSagaRunner } from '../reconcile/saga.ts';
import { newId } from '../resources/identity.ts';
import type { BoxStore } from '../store/box/box-store.ts';
import { checkSources, moveParts, prepareParts, type PartsOptions } from './init-parts.ts';
import type { MoveParts, PrepareParts } from './init.ts';
import { failedInit, moveSaga, noteEnd, notePending, pendingInit, prepareSaga, runId, type InitContext } from './init.ts';
import type { K3s } from './k3s.ts';
import { k3sPaths, kubeletArgsFor, readMembership, type Membership } from './membership.ts';
import { chooseRanges } from './ranges.ts';

type Shared = Pick<PartsOptions, 'config' | 'logger' | 'fetch' | 'lockFile'> & {
  box: Pick<BoxStore, 'journal' | 'tasks'>;
  /** What the steps do; for tests. */
  parts?: { prepare(options: PartsOptions): PrepareParts; move(options: PartsOptions): MoveParts };
};

const realParts: NonNullable<Shared['parts']> = { prepare: prepareParts, move: moveParts };

export type ClusterPortOptions = Shared & {
  nodeName: string;
  membership: Membership | undefined;
  /** The one that runs, of a member. */
  k3s: K3s | undefined;
  /** Addresses with prefix that pods and Services must keep out of. */
  occupied: () => Promise<string[]>;
  /** Composes the box anew: the resources are to move. */
  replace: () => void;
};

/**
 * Ends a move that is due; a failed one leaves the box on SQLite, and is told by `status`.
 * @returns undefined for a box whose resources are in SQLite
 */
export async function settleCluster(options: Shared): Promise<Membership | undefined> {
  const { config, logger, parts = realParts } = options;
  const { journal } = options.box;
  const pending = pendingInit(journal);
  const membership = await readMembership(config);
  if (pending?.phase !== 'move') return membership;
  const runner = createSagaRunner(journal);
  // Committed, and cut off before that was noted: moving again would overwrite what is newer.
  if (membership && runner.pending().every(({ saga }) => saga !== 'cluster-move')) {
    noteEnd(journal);
    return membership;
  }
  try {
    await runner.run(moveSaga(parts.move({ ...options, progress: () => {} })), runId, { wish: pending.context.wish });
    noteEnd(journal);
  } catch (error) {
    logger.error({ err: error }, 'the resources could not be moved into Kubernetes; the box goes on as it was');
    const failure = {
      at: new Date().toISOString(),
      code: isCroftError(error) ? error.code : 'internal',
      detail: messageOf(error),
    };
    // What could not be undone is tried again at the next start.
    if (runner.pending().some(({ saga }) => saga === 'cluster-move')) notePending(journal, pending);
    else noteEnd(journal, failure);
  }
  return readMembership(config);
}

/** The address of the interface that leads to the world. @throws CroftError `invalid-input` when there is none */
async function ownAddress(wished: string | undefined): Promise<string> {
  const links = networkInterfaces();
  const addresses = Object.values(links).flatMap((entries) =>
    (entries ?? []).filter(({ family, internal }) => family === 'IPv4' && !internal),
  );
  if (wished !== undefined) {
    if (addresses.some(({ address }) => address === wished)) return wished;
    const own = addresses.map(({ address }) => address).join(', ');
    throw new CroftError('invalid-input', `address: ${wished} is not an IPv4 address of this box; it has ${own || 'none'}.`);
  }
  const { stdout } = await run(['ip', '-j', '-4', 'route', 'show', 'default']);
  const [route] = JSON.parse(stdout || '[]') as { dev?: string }[];
  const found = links[route?.dev ?? '']?.find(({ family }) => family === 'IPv4')?.address;
  if (found !== undefined) return found;
  throw new CroftError('invalid-input', 'address: this box has no default route to tell its address by; name it with --address.');
}

export function createClusterPort(options: ClusterPortOptions): ClusterPort & { resume(): void; stop(): Promise<void> } {
  const { config, box, logger, membership, nodeName, lockFile, replace, parts = realParts } = options;
  const { journal, tasks } = box;
  const runner = createSagaRunner(journal);
  let work: Promise<unknown> = Promise.resolve();

  function prepare(id: string, context: InitContext, by?: string): void {
    const about = { id, verb: 'cluster.init', target: { kind: 'Cluster', name: nodeName }, ...(by === undefined ? {} : { by }) };
    work = tasks
      .run(about, async (handle) => {
        const steps = parts.prepare({ ...options, progress: (fraction, step) => handle.progress(fraction, step) });
        await runner.run(prepareSaga(steps), runId, context);
      })
      .then(
        () => {
          notePending(journal, { phase: 'move', task: id, context });
          replace();
        },
        (error: unknown) => {
          logger.error({ err: error }, 'k3s could not be prepared');
          // What could not be undone yet is taken up again at the next start.
          if (runner.pending().some(({ saga }) => saga === 'cluster-prepare')) return;
          noteEnd(journal, {
            at: new Date().toISOString(),
            code: isCroftError(error) ? error.code : 'internal',
            detail: messageOf(error),
          });
        },
      )
      .catch((error: unknown) => logger.warn({ err: error }, 'the preparation of k3s was cut off; it goes on at the next start'));
  }

  return {
    status: () => statusOf(options),

    async init(request, by) {
      if (membership) throw new CroftError('invalid-state', 'This box runs on its Kubernetes already: croft cluster status.');
      if (config.store === 'kubernetes') {
        throw new CroftError('invalid-state', 'This box is on a cluster already, the one of CROFT_KUBECONFIG.');
      }
      if (process.getuid?.() !== 0) throw new CroftError('invalid-state', 'k3s needs root, and Croft does not run as root here.');
      const before = pendingInit(journal);
      if (before) throw new CroftError('busy', `The move is under way already: croft task watch ${before.task}.`);
      await checkSources(request, lockFile);
      const joinable = request.address !== undefined;
      if (joinable && existsSync(join(config.data, 'ceph', 'cluster.json'))) {
        throw new CroftError('invalid-state', 'address: the disks of this box’s replicated pool speak to this box alone.', {
          fix: ['Leave --address away: nobody joins then.', 'Or move its volumes to the local pool and delete it first.'],
        });
      }
      const wish = {
        nodeName,
        address: await ownAddress(request.address),
        ranges: chooseRanges(await options.occupied()),
        kubeletArgs: kubeletArgsFor(request.kubeletArgs ?? []),
        ...(joinable ? { joinable } : {}),
      };
      const [id, context] = [newId(), { request, wish }];
      notePending(journal, { phase: 'prepare', task: id, context });
      prepare(id, context, by);
      return id;
    },

    /** Goes on with a preparation that the end of the service cut off. */
    resume() {
      const pending = pendingInit(journal);
      if (pending?.phase === 'prepare') prepare(newId(), pending.context);
    },

    /** What runs is cut off by the end of the process, not waited for. */
    stop: async () => void work,
  };
}

async function statusOf({ config, box, k3s, membership }: ClusterPortOptions): Promise<ClusterStatus> {
  const pending = pendingInit(box.journal);
  if (pending) {
    const { step } = box.tasks.get(pending.task) ?? {};
    const preparing = pending.phase === 'prepare';
    return {
      state: preparing ? 'preparing' : 'moving',
      words: preparing
        ? `k3s is being prepared${step ? `: ${step}` : ''}. VMs run on.`
        : 'k3s runs; the resources move into it now. VMs run on.',
      taskId: pending.task,
    };
  }
  if (!membership || !k3s) {
    if (config.store === 'kubernetes') {
      return { state: 'foreign', words: `This box is on the cluster of ${config.kubeconfig}, which it does not run itself.` };
    }
    const failed = failedInit(box.journal);
    const words = 'This box works alone: its resources are in its own database.';
    return failed
      ? { state: 'none', words: `${words} The last try to move them failed: ${failed.detail}`, failed }
      : { state: 'none', words };
  }
  const [status, version, certificatesEnd] = await Promise.all([
    k3s.status(),
    k3s.version().catch(() => undefined), // Not installed: `status` says so.
    k3s.certificatesEnd(),
  ]);
  return {
    state: status.state,
    words: status.words,
    address: membership.address,
    since: membership.since,
    kubeconfig: k3sPaths(config).kubeconfig,
    pods: membership.ranges.pods,
    services: membership.ranges.services,
    ...(version ? { version: version.version, standIn: version.standIn } : {}),
    ...(certificatesEnd ? { certificatesEnd: certificatesEnd.toISOString() } : {}),
  };
}
