/**
 * The box goes down: its guests are switched off by their power button, in the reverse of the order in which they
 * start (start-order.ts). Each order gets its share of the time; who does not listen is ended then, its disks closed.
 * Nothing is written to the store: at the box's next start they count as ended by its reboot, and their run strategy
 * starts them again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import type { Logger } from '../host/logger.ts';
import type { Guest, GuestRunState } from './hypervisor.ts';

export type ShutDownOptions = {
  guests: readonly Guest[];
  /** Of a guest's VM, by id; lower ones start earlier. */
  orderOf: (id: string) => number;
  /** ms for all of them. */
  patience: number;
  logger: Logger;
};

/** ms between looks at those that are to end. */
const pause = 250;

/** Lists of guests that go down together, the first to go first. Pure. */
export function shutDownOrder<T extends { id: string }>(guests: readonly T[], orderOf: (id: string) => number): T[][] {
  const orders = [...new Set(guests.map(({ id }) => orderOf(id)))].toSorted((a, b) => (a === b ? 0 : b - a));
  return orders.map((order) => guests.filter(({ id }) => orderOf(id) === order));
}

/** Returns when no guest is left; resolves with the ids of those that had to be ended. */
export async function shutDownGuests({ guests, orderOf, patience, logger }: ShutDownOptions): Promise<string[]> {
  const forced: string[] = [];
  const groups = shutDownOrder(guests, orderOf);
  const end = Date.now() + patience;
  for (const [index, group] of groups.entries()) {
    const share = Math.max(0, end - Date.now()) / (groups.length - index);
    const deadline = Date.now() + share;
    await Promise.all(
      group.map(async (guest) => {
        const how = await switchOff(guest, deadline).catch((error: unknown) => messageOf(error));
        if (how !== 'shutdown') {
          forced.push(guest.id);
          logger.warn({ vm: guest.id, how }, 'the guest did not switch itself off before the box goes down');
        }
        await guest.kill().catch((error: unknown) => logger.warn({ err: error, vm: guest.id }, 'a guest did not end'));
      }),
    );
  }
  return forced;
}

/** Presses the button and waits; the state it ends in. */
async function switchOff(guest: Guest, deadline: number): Promise<GuestRunState> {
  const first = await guest.state();
  // A guest whose vCPUs are stopped cannot hear its power button.
  if (first === 'paused') await guest.resume();
  if (first === 'running' || first === 'paused') await guest.powerdown();
  let state = await guest.state();
  while (state === 'running' && Date.now() < deadline) {
    await delay(pause);
    state = await guest.state();
  }
  return state;
}
