/**
 * Chains of running guests' disks are shortened in the background, one job per disk. The job's id says what it does, and
 * a finished job stays in QEMU until it is recorded: so a service that was away meanwhile finds it and finishes it. A
 * guest that ends in the middle loses nothing (VolumeDriver.shorten).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { CroftError, isCroftError } from '../errors.ts';
import type { VirtualMachineInstance } from '../resources/virtual-machine.ts';
import type { VmContext } from './context.ts';
import type { ReadyDisk } from './guest-devices.ts';
import type { Guest } from './hypervisor.ts';
import { aboutOf } from './instance-identity.ts';

type Job = { id: string; status: string; error?: string };

const isOurs = ({ id }: Job): boolean => id.startsWith('shorten.');
const lookAgain = 2_000;
const cancelTimeout = 10_000;
/** ms after a failure until it is tried again. */
const pause = 600_000;

const failedAt = new WeakMap<Guest, Map<string, number>>();

const allJobs = async (guest: Guest): Promise<Job[]> => {
  const jobs = await guest.qmp<Job[]>('query-jobs');
  return Array.isArray(jobs) ? jobs : [];
};
const jobsOf = async (guest: Guest): Promise<Job[]> => (await allJobs(guest)).filter(isOurs);

/** Takes the nodes of layers away that no disk uses any more; those in use are refused. */
async function dropUnused(guest: Guest, prefix: string): Promise<void> {
  for (let removed = 1; removed > 0; ) {
    removed = 0;
    const nodes = await guest.qmp<{ 'node-name'?: string }[]>('query-named-block-nodes', { flat: true });
    for (const name of nodes.flatMap((node) => node['node-name'] ?? []).filter((node) => node.startsWith(`${prefix}-`))) {
      try {
        await guest.qmp('blockdev-del', { 'node-name': name });
        removed++;
      } catch (error) {
        if (!isCroftError(error, 'qmp-failed')) throw error; // In use.
      }
    }
  }
}

/** Starts what is due and finishes what is done. Returns ms after which to look again. Called with the VM's lock held. */
export async function shortenDisks(
  context: VmContext,
  instance: VirtualMachineInstance,
  guest: Guest,
  disks: readonly ReadyDisk[],
): Promise<number | undefined> {
  const able = disks.filter(({ wish, volume }) => !wish.disk.cdrom && volume.driver.shorten && volume.driver.shortened);
  if (able.length === 0) return undefined;
  const jobs = await allJobs(guest);
  const nodes = await guest.topNodes();
  // A move or a migration copies its disks: they stay as they are until it is done.
  const busy = jobs.some((job) => !isOurs(job));
  const failures = failedAt.get(guest) ?? new Map<string, number>();
  failedAt.set(guest, failures);
  let again: number | undefined;
  for (const { wish, volume } of able) {
    const { driver, volumeId } = volume;
    const about = aboutOf(instance, guest.id);
    const mine = jobs.find((job) => isOurs(job) && job.id.includes(`.${volumeId}.`));
    if (mine && mine.status !== 'concluded') again = lookAgain;
    else if (mine) {
      const why = mine.error ?? (await failureOf(driver.shortened?.(volumeId, mine.id)));
      await guest.qmp('job-dismiss', { id: mine.id });
      if (why === undefined) {
        const top = (await guest.topNodes()).get(wish.volume);
        if (top !== undefined) await dropUnused(guest, top.replace(/-g\d+$/, ''));
        again = lookAgain; // There may be more to do.
      } else {
        failures.set(volumeId, Date.now());
        context.events.record({ type: 'Warning', reason: 'FailedShorten', message: `Disk ${wish.volume}: ${why}`, about });
      }
    } else if (!busy && Date.now() - (failures.get(volumeId) ?? 0) > pause) {
      const node = nodes.get(wish.volume);
      const plan = node === undefined ? undefined : await driver.shorten?.(volumeId, node);
      if (!plan) continue;
      await plan.before.run();
      await guest.qmp(plan.stream.qmp.execute, plan.stream.qmp.arguments);
      const message = `The layers of disk ${wish.volume} are being made fewer.`;
      context.events.record({ type: 'Normal', reason: 'Shortening', message, about });
      again = lookAgain;
    }
  }
  return again;
}

const failureOf = async (work: Promise<void> | undefined): Promise<string | undefined> => {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

/**
 * Ends such jobs before something else is done to the disks (a snapshot, a move): nothing is lost, they begin anew later.
 * @throws CroftError `busy` when one doesn't end in time
 */
export async function stopShortening(guest: Guest): Promise<void> {
  const deadline = Date.now() + cancelTimeout;
  for (;;) {
    const running = (await jobsOf(guest)).filter(({ status }) => status !== 'concluded');
    if (running.length === 0) return;
    if (Date.now() > deadline)
      throw new CroftError('busy', 'The layers of its disks are being made fewer; try again in a while.');
    // A job that ended meanwhile, or is being ended, refuses: the next look tells.
    for (const { id } of running) await guest.qmp('job-cancel', { id }).catch(() => undefined);
    await delay(50);
  }
}
