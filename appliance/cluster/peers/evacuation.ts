/** Where the VMs of a box could go, by memory: pure. Kubernetes' scheduler has the last word on each. */
import { humanBytes } from '../../resources/quantity.ts';
import type { BoxLoad } from './balance.ts';

/** Bytes that VMs may still be given on a box that takes them. */
export type Room = { box: string; free: number };

/** `refusal`: why it can't leave its box while it runs. `memory`: bytes, with QEMU's own. */
export type Leaving = { vm: string; project: string; memory: number; refusal?: string };

export type Departure = { vm: string; project: string } & ({ to: string } | { stays: string });

/** What becomes of a box's VMs when it dies. */
export type Loss = { box: string; departures: Departure[] };

/** The largest first, each to where most is free. */
export function planDepartures(leaving: readonly Leaving[], rooms: readonly Room[]): Departure[] {
  const free = new Map(rooms.map((room) => [room.box, room.free]));
  const bySize = leaving.toSorted((a, b) => b.memory - a.memory || `${a.project}/${a.vm}`.localeCompare(`${b.project}/${b.vm}`));
  return bySize.map(({ vm, project, memory, refusal }): Departure => {
    if (refusal !== undefined) return { vm, project, stays: refusal };
    const [best] = [...free].toSorted(([a, mine], [b, other]) => other - mine || a.localeCompare(b));
    if (!best) return { vm, project, stays: 'There is no other box that takes VMs now.' };
    const [box, left] = best;
    if (left < memory) {
      const most = humanBytes(Math.max(0, left));
      return { vm, project, stays: `It needs ${humanBytes(memory)} of memory; the most that is free is ${most}, on ${box}.` };
    }
    free.set(box, left - memory);
    return { vm, project, to: box };
  });
}

/** For each box: where its VMs would start if it died now, the others being as they are. */
export function planLosses(loads: readonly BoxLoad[]): Loss[] {
  return loads.map(({ box, vms }) => {
    const others = loads.filter((one) => one.box !== box);
    const rooms = others.map((one) => ({
      box: one.box,
      free: one.memory - one.vms.reduce((sum, { memory }) => sum + memory, 0),
    }));
    const leaving = vms.map(({ vm, project, memory, stays }) => ({
      ...{ vm, project, memory },
      ...(stays === undefined ? {} : { refusal: 'It waits for the box: one of its disks is only there.' }),
    }));
    return { box, departures: planDepartures(leaving, rooms) };
  });
}
