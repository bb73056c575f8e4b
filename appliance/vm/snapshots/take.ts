/**
 * Freezing all disks of a VM at one instant. What makes layers and opens them (most of the time it takes) comes before
 * that instant, writing records after it; in between the guest's file systems are frozen by its agent where one
 * answers. Disks of drivers that cannot be in QEMU's transaction are frozen while the vCPUs stand still.
 */
import { isTransactional, type QmpStep, type Step, type VolumeDriver } from '../../../storage/driver.ts';
import { CroftError, messageOf } from '../../errors.ts';
import type { Logger } from '../../host/logger.ts';
import { stopShortening } from '../shorten.ts';
import type { Guest } from '../hypervisor.ts';

export type DiskToFreeze = { name: string; volumeId: string; driver: VolumeDriver };

/** `indications` as upstream writes them. */
export type Taken = { at: string; indications: string[] };

export type SplitSteps = { before: Step[]; transaction: QmpStep[]; after: Step[] };

/** A driver's steps parted by their place around the instant; all of them in `before` when there is no transaction. Pure. */
export function splitSteps(steps: readonly Step[]): SplitSteps {
  const first = steps.findIndex(isTransactional);
  if (first < 0) return { before: [...steps], transaction: [], after: [] };
  const last = steps.findLastIndex(isTransactional);
  return {
    before: steps.slice(0, first),
    transaction: steps.slice(first, last + 1).filter(isTransactional),
    after: steps.slice(last + 1),
  };
}

/** All disks of a VM that has no guest. @throws CroftError of the driver */
export async function takeOffline(disks: readonly DiskToFreeze[], snapshotId: string): Promise<Taken> {
  const at = new Date().toISOString();
  for (const { driver, volumeId } of disks) await runHost(await driver.snapshot(volumeId, snapshotId, undefined));
  return { at, indications: [] };
}

export type LiveOptions = {
  logger: Logger;
  /** Called before vCPUs are stopped; what it wrote tells the next run to start them again. */
  beforePause: () => Promise<void>;
};

/**
 * All disks of a running (or paused) guest. May be called again after a crash at any point.
 * @throws CroftError of the driver or of QEMU; the guest then runs as before
 */
export async function takeLive(
  guest: Guest,
  disks: readonly DiskToFreeze[],
  snapshotId: string,
  { logger, beforePause }: LiveOptions,
): Promise<Taken> {
  const state = await guest.state();
  if (state === 'unresponsive') throw new CroftError('unavailable', 'QEMU does not answer, so its disks cannot be frozen.');
  await stopShortening(guest);
  const nodes = await guest.topNodes();
  const plans = await Promise.all(
    disks.map(async ({ name, volumeId, driver }) => {
      const node = nodes.get(name);
      return { attached: node !== undefined, ...splitSteps(await driver.snapshot(volumeId, snapshotId, node)) };
    }),
  );
  const joint = plans.filter(({ transaction }) => transaction.length > 0);
  const alone = plans.filter(({ transaction }) => transaction.length === 0);
  const running = state === 'running';
  const standStill = running && alone.some(({ attached, before }) => attached && before.length > 0);
  const added: string[] = [];
  let frozen = false;
  let stopped = false;
  let at = '';
  try {
    for (const { before } of joint) await runSteps(guest, before, added);
    frozen = running && (await freeze(guest, logger));
    if (standStill) {
      await beforePause();
      await guest.pause();
      stopped = true;
    }
    at = new Date().toISOString();
    for (const { before } of alone) await runSteps(guest, before, added);
    const actions = joint.flatMap(({ transaction }) =>
      transaction.map(({ qmp }) => ({ type: qmp.execute, data: qmp.arguments })),
    );
    if (actions.length > 0) await guest.qmp('transaction', { actions });
  } catch (error) {
    await removeNodes(guest, added, logger);
    throw error;
  } finally {
    if (stopped) await guest.resume();
    if (frozen) await thaw(guest, logger);
  }
  for (const { after } of joint) await runSteps(guest, after, []);
  return { at, indications: ['Online', frozen ? 'GuestAgent' : 'NoGuestAgent'] };
}

/** Undoes what a crash between freezing and thawing left. */
export async function wake(guest: Guest, paused: boolean, logger: Logger): Promise<void> {
  if (paused && (await guest.state()) === 'paused') await guest.resume();
  await thaw(guest, logger);
}

async function freeze(guest: Guest, logger: Logger): Promise<boolean> {
  try {
    return await guest.freeze(true);
  } catch (error) {
    // The snapshot is then as after a power cut, and says so.
    logger.warn({ err: error, vm: guest.id }, 'the guest agent did not freeze the file systems');
    return false;
  }
}

const thawAttempts = 3;

/** A guest that stays frozen hangs: this is tried until it is sure, and never stands in the snapshot's way. */
async function thaw(guest: Guest, logger: Logger): Promise<void> {
  for (let attempt = 1; attempt <= thawAttempts; attempt++) {
    try {
      await guest.freeze(false);
      return;
    } catch (error) {
      logger.warn({ vm: guest.id, attempt, error: messageOf(error) }, 'the guest agent did not thaw the file systems');
    }
  }
}

async function runHost(steps: readonly Step[]): Promise<void> {
  for (const step of steps) {
    if (!('host' in step)) throw new CroftError('internal', 'A closed disk has a step for QEMU.');
    await step.run();
  }
}

/** Runs steps in order. Names of nodes that were opened are added to `added`. */
export async function runSteps(guest: Guest, steps: readonly Step[], added: string[]): Promise<void> {
  for (const step of steps) {
    if ('host' in step) {
      await step.run();
      continue;
    }
    await guest.qmp(step.qmp.execute, step.qmp.arguments);
    if (step.qmp.execute === 'blockdev-add') added.push(String(step.qmp.arguments['node-name']));
  }
}

/** Layers that were opened and not used. */
async function removeNodes(guest: Guest, added: readonly string[], logger: Logger): Promise<void> {
  for (const node of added.toReversed()) {
    await guest
      .qmp('blockdev-del', { 'node-name': node })
      .catch((error: unknown) => logger.warn({ vm: guest.id, node, error: messageOf(error) }, 'an unused layer stays open'));
  }
}
