/**
 * Releases of this appliance as the box's service sees them: which slot holds what, an update as a task that can be
 * aborted in each phase, and the way back. What is decided and written is apply.ts' and slots.ts'; this is what turns
 * it into status, progress and one update at a time.
 */
import { mkdir, rm } from 'node:fs/promises';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import {
  type ImageUploads,
  type SlotView,
  type UpdatePort,
  type UpdateRequest,
  type UpdateStatus,
  updateUpload,
} from '../../appliance/ports.ts';
import type { TaskHandle, Tasks } from '../../appliance/reconcile/tasks.ts';
import { newId } from '../../appliance/resources/identity.ts';
import { readEnvironment, writeEnvironment } from '../environment-block.ts';
import { readRelease, type Release } from '../release.ts';
import { type BootState, fromEnvironment, maxTries, otherSlot, type Slot, toEnvironment, unstage } from '../slots.ts';
import { applyUpdate, goBack, type UpdateTarget } from './apply.ts';
import { download } from './download.ts';

export type UpdateOptions = {
  target: UpdateTarget;
  tasks: Tasks;
  uploads: ImageUploads & { completed(id: string, options: { signal: AbortSignal }): Promise<string> };
  /** Where a download is kept until it is taken. */
  downloaded: string;
  nodeName: string;
  logger: Logger;
  /** Default: mounts the slot and reads what it says of itself. */
  releaseIn?: (device: string) => Promise<Release>;
  /** Default: systemd's. */
  reboot?: () => Promise<void>;
};

/** What each slot is; pure. */
export function slotStates({ order, good, slots }: BootState, running: Slot): Record<Slot, SlotView['state']> {
  const other = otherSlot(running);
  const { ok, tries } = slots[other];
  const stateOfOther = !ok ? (tries >= maxTries ? 'failed' : 'empty') : order[0] === other && good === running ? 'next' : 'ready';
  return { [running]: 'running', [other]: stateOfOther } as Record<Slot, SlotView['state']>;
}

/** Share of the whole that fetching the bundle is. */
const fetchShare = 0.3;

export function createUpdates(options: UpdateOptions): UpdatePort & { stop(): Promise<void> } {
  const { target, tasks, uploads, downloaded, nodeName, logger, releaseIn = readSlot, reboot = restartMachine } = options;
  const { running } = target;
  const other = otherSlot(running);
  let current: { id: string; abort: AbortController; done: Promise<unknown> } | undefined;
  /** Of the other slot; forgotten when it is written. */
  let held: Release | undefined;

  const bootState = async (): Promise<BootState> => fromEnvironment(await readEnvironment(target.environment));
  const mustRest = (): void => {
    if (current) throw new CroftError('busy', 'An update is under way.', { fix: ['Wait for it, or abort it.'] });
  };

  async function status(): Promise<UpdateStatus> {
    const state = await bootState();
    const states = slotStates(state, running);
    if (states[other] !== 'empty' && !current) held ??= await releaseIn(target.slots[other]);
    const view = (slot: Slot): SlotView => {
      const release = slot === running ? target.release : states[slot] === 'empty' ? undefined : held;
      const facts = release && { version: release.version, builtAt: new Date(release.epoch * 1000).toISOString() };
      return { slot, state: states[slot], ...facts };
    };
    const upload = await uploads.state(updateUpload);
    return {
      confirmed: state.good === running,
      slots: [view('A'), view('B')],
      ...(upload ? { upload } : {}),
      ...(current ? { taskId: current.id } : {}),
    };
  }

  /** The file with the bundle, and what removes it once it was taken or refused. */
  async function fetched({ url, upload }: UpdateRequest, handle: TaskHandle, signal: AbortSignal) {
    if (upload) {
      handle.progress(0, 'waiting for the rest of the upload');
      const bundle = await uploads.completed(updateUpload, { signal });
      return { bundle, remove: () => uploads.drop(updateUpload) };
    }
    handle.progress(0, 'fetching the update');
    const progress = (done: number, total: number | undefined): void => {
      if (total) handle.progress((done / total) * fetchShare, 'fetching the update');
    };
    await download(url ?? '', downloaded, { signal, progress });
    return { bundle: downloaded, remove: () => rm(downloaded, { force: true }) };
  }

  async function work(request: UpdateRequest, handle: TaskHandle, signal: AbortSignal): Promise<void> {
    const { bundle, remove } = await fetched(request, handle, signal);
    held = undefined;
    try {
      const progress = (fraction: number, step: string): void => handle.progress(fetchShare + fraction * (1 - fetchShare), step);
      await applyUpdate(bundle, target, { signal, progress });
    } finally {
      await remove();
    }
    if (request.restart) await reboot();
  }

  return {
    status,
    async begin(request, by) {
      mustRest();
      const id = newId();
      const abort = new AbortController();
      // Claimed before the first wait: two requests must not both begin.
      const claim = { id, abort, done: Promise.resolve() as Promise<unknown> };
      current = claim;
      try {
        if ((await bootState()).good !== running) {
          throw new CroftError('invalid-state', 'The running release is not confirmed yet; wait for its health check.');
        }
        if (request.upload && !(await uploads.state(updateUpload))) {
          throw new CroftError('invalid-state', 'No upload of an update was begun.', {
            fix: ['Begin one: POST /v1/node/update/upload'],
          });
        }
      } catch (error) {
        current = undefined;
        throw error;
      }
      const about = { id, verb: 'node.update', target: { kind: 'Node', name: nodeName }, cancellable: true };
      claim.done = tasks
        .run({ ...about, ...(by === undefined ? {} : { by }) }, (handle) =>
          work(request, handle, AbortSignal.any([handle.signal, abort.signal])),
        )
        .catch((error: unknown) => logger.info({ err: error }, 'an update was not taken')) // the task has it
        .finally(() => (current = undefined));
      return id;
    },
    async abort() {
      if (current) {
        tasks.cancel(current.id);
        await current.done;
      }
      const state = await bootState();
      if (slotStates(state, running)[other] === 'next') await writeEnvironment(target.environment, toEnvironment(unstage(state)));
    },
    async rollBack() {
      mustRest();
      await goBack(target);
    },
    async restart() {
      mustRest();
      await reboot();
    },
    async stop() {
      current?.abort.abort();
      await current?.done;
    },
  };
}

async function readSlot(device: string): Promise<Release> {
  const root = '/run/croft/other-slot';
  await mkdir(root, { recursive: true });
  await run(['mount', '-t', 'iso9660', '-o', 'ro', device, root]);
  try {
    return await readRelease(root);
  } finally {
    await run(['umount', root]);
  }
}

const restartMachine = async (): Promise<void> => void (await run(['systemctl', '--no-block', 'reboot']));
