/**
 * Pools that run full. Below a pool's reserve a VM that makes its disks grow is paused before the file system is full;
 * one that met the end anyway was stopped by QEMU (`werror=stop`). Both go on by themselves when space returns: nothing
 * is lost, since a write that failed is done again. Who was paused for it stands in the box's journal.
 */
import type { Logger } from '../host/logger.ts';
import type { Events } from '../reconcile/events.ts';
import { humanBytes } from '../resources/quantity.ts';
import type { PoolSpace, VolumeResolver } from '../../storage/driver.ts';
import type { VirtualMachineInstance } from '../resources/virtual-machine.ts';
import type { GuestRegistry, IoError } from './guest-registry.ts';
import { wishedDisks } from './guest-shape.ts';
import type { Guest, GuestRunState } from './hypervisor.ts';
import { aboutOf } from './instance-identity.ts';
import type { SlotJournal } from './slots.ts';

export const noSpace = 'no space left';

/** A pool with less than so many times its reserve is looked at in every turn, others in every fifth. */
const closeTo = 3;
const turnsApart = 5;

/** Space that must be there beyond the reserve before a guest goes on, so that it doesn't stop at once again. Bytes. */
const margin = (reserve: number): number => Math.min(64 * 2 ** 20, reserve * 0.1);

export type SpaceFacts = {
  state: GuestRunState;
  /** We paused it for want of space. */
  held: boolean;
  ioError: IoError | undefined;
  /** Its disks grew since the last look. */
  grew: boolean;
  /** The pools of its disks, as far as they know their space. */
  pools: readonly (PoolSpace & { name: string })[];
};

/** Pure. */
export function planSpace({ state, held, ioError, grew, pools }: SpaceFacts): 'pause' | 'resume' | 'forget' | 'none' {
  const roomy = pools.every(({ free, reserve }) => free > reserve + margin(reserve));
  if (state === 'running' && held) return 'forget';
  if (state === 'running' && grew && pools.some(({ free, reserve }) => free < reserve)) return 'pause';
  if (state === 'paused' && held && roomy) return 'resume';
  // Another error than a full pool needs a person; after a restart of ours the reason isn't known, and one try is harmless.
  if (state === 'io-error' && roomy && (ioError === undefined || ioError.reason === noSpace)) return 'resume';
  return 'none';
}

/** Why a guest stands still, with numbers; undefined when space isn't why. */
export function spaceSentence({ state, held, ioError, pools }: SpaceFacts): string | undefined {
  if (!held && state !== 'io-error') return undefined;
  const tight = pools.filter(({ free, reserve }) => free <= reserve + margin(reserve));
  const numbers = tight.map(
    ({ name, free, reserve }) => `pool ${name} has ${humanBytes(free)} free and keeps ${humanBytes(reserve)} in reserve`,
  );
  if (held) return `It was paused because ${numbers.join('; ') || 'its pool was short of space'}. It goes on when space returns.`;
  const disk = ioError ? `Disk ${ioError.disk} could not be read or written: ${ioError.reason}` : 'A disk could not be written';
  const rest = ioError && ioError.reason !== noSpace ? 'Mend the disk, then unpause it.' : 'It goes on when space returns.';
  return `${disk}${numbers.length > 0 ? `; ${numbers.join('; ')}` : ''}. It was paused to keep its data whole. ${rest}`;
}

type BlockStats = { stats?: { wr_bytes?: number }; parent?: { stats?: { wr_highest_offset?: number } } };

/**
 * A measure that grows when its disks take space: how far their files reach, in bytes; where any write may take some,
 * what was written.
 */
async function reachOf(guest: Guest, sparse: boolean): Promise<number> {
  const devices = await guest.qmp<BlockStats[]>('query-blockstats');
  if (!Array.isArray(devices)) return 0;
  const reach = ({ stats, parent }: BlockStats) => (sparse ? stats?.wr_bytes : parent?.stats?.wr_highest_offset);
  return devices.reduce((sum, device) => sum + (reach(device) ?? 0), 0);
}

export type SpaceWatchOptions = {
  registry: GuestRegistry;
  volumes: VolumeResolver;
  journal: SlotJournal;
  events: Events;
  logger: Logger;
  instanceOf(vmId: string): VirtualMachineInstance | undefined;
  /** The guest's status is to be written anew. */
  changed(vmId: string): void;
  /** ms between looks; a fifth of it while a pool is near its reserve. Default 5 000. */
  interval?: number;
};

export type SpaceWatch = { look(): Promise<void>; stop(): Promise<void> };

const keyOf = (vmId: string): string => `space/${vmId}`;

export function startSpaceWatch(options: SpaceWatchOptions): SpaceWatch {
  const { registry, volumes, journal, events, logger, interval = 5_000 } = options;
  const reach = new Map<string, number>();
  let running: Promise<void> = Promise.resolve();

  const poolsOf = async (instance: VirtualMachineInstance, spaces: Map<string, Promise<PoolSpace>>) => {
    const found: SpaceFacts['pools'][number][] = [];
    for (const { claim } of wishedDisks(instance.spec)) {
      const volume = await volumes.resolve(instance.metadata.namespace as string, claim);
      if ('pending' in volume || !volume.driver.space) continue;
      const name = volume.pool ?? volume.driver.name;
      let space = spaces.get(name);
      if (!space) spaces.set(name, (space = volume.driver.space()));
      if (!found.some((pool) => pool.name === name)) found.push({ name, ...(await space) });
    }
    return found;
  };

  const lookAt = async (guest: Guest, spaces: Map<string, Promise<PoolSpace>>): Promise<void> => {
    const instance = options.instanceOf(guest.id);
    if (!instance) return;
    const pools = await poolsOf(instance, spaces);
    const state = await guest.state();
    const tight = state === 'running' ? pools.filter(({ free, reserve }) => free < reserve) : [];
    const now =
      tight.length > 0
        ? await reachOf(
            guest,
            tight.some(({ sparse }) => sparse),
          )
        : undefined;
    const before = reach.get(guest.id);
    if (now === undefined) reach.delete(guest.id);
    else reach.set(guest.id, now);
    const held = journal.get(keyOf(guest.id)) !== undefined;
    const grew = now !== undefined && before !== undefined && now > before;
    const facts = { state, held, grew, pools, ioError: registry.ioErrorOf(guest.id) };
    const step = planSpace(facts);
    if (step === 'pause') {
      // Written first: a guest that we paused must be found again after a crash.
      journal.put(keyOf(guest.id), new Date().toISOString());
      await guest.pause();
    }
    if (step === 'resume') await guest.resume();
    if (step === 'resume' || step === 'forget') journal.delete(keyOf(guest.id));
    const after = { ...facts, held: step === 'pause' || (held && step === 'none'), state: await guest.state() };
    const sentence = spaceSentence(after);
    if (step === 'pause' || step === 'resume') {
      const paused = step === 'pause';
      events.record({
        type: paused ? 'Warning' : 'Normal',
        reason: paused ? 'PausedNoSpace' : 'SpaceReturned',
        message: sentence ?? 'Space returned: the guest goes on.',
        about: aboutOf(instance, guest.id),
      });
    }
    if (registry.setHold(guest.id, sentence) || step !== 'none') options.changed(guest.id);
  };

  /** Some pool may reach its reserve within seconds. */
  let close = false;

  const look = async (): Promise<void> => {
    const spaces = new Map<string, Promise<PoolSpace>>();
    let closeNow = false;
    for (const guest of registry.all()) {
      try {
        await lookAt(guest, spaces);
      } catch (error) {
        // One guest's trouble is its own; the next look comes in seconds.
        logger.debug({ err: error, vm: guest.id }, 'the space of a guest could not be looked at');
      }
    }
    for (const space of spaces.values()) {
      const found = await space.catch(() => undefined); // Told above, by the guest that asked.
      if (found && found.free < closeTo * found.reserve) closeNow = true;
    }
    close = closeNow;
  };
  const lookOnce = (): Promise<void> => (running = running.then(look));
  let waiting = false;
  let turns = 0;
  const timer = setInterval(() => {
    turns++;
    if (waiting || registry.all().length === 0 || (!close && turns % turnsApart !== 0)) return;
    waiting = true;
    void lookOnce().finally(() => (waiting = false));
  }, interval / turnsApart).unref();
  return {
    look: lookOnce,
    stop: async () => {
      clearInterval(timer);
      await running;
    },
  };
}

export const forgetSpace = (journal: SlotJournal, vmId: string): void => journal.delete(keyOf(vmId));
