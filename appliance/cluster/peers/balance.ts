/**
 * Which VMs would move so that no box carries much more than another: pure. What counts is what VMs were promised, not what
 * they use just now, so two looks at an unchanged cluster say the same and a quiet one stays as it is: a plan begins only
 * above `tolerance`, and each move must bring the fuller of its two boxes down by `gain`.
 */
export type PlacedVm = {
  vm: string;
  project: string;
  /** Bytes, with QEMU's own. */
  memory: number;
  vcpus: number;
  /** Why it can't leave its box. */
  stays?: string;
  /** It is on its way to another box. */
  moving?: boolean;
};
/** `memory`: bytes for VMs. */
export type BoxLoad = { box: string; memory: number; cpus: number; vms: readonly PlacedVm[] };
export type Move = { vm: string; project: string; from: string; to: string; why: string };

/** Between the fullest and the emptiest box. */
export const tolerance = 0.2;
const gain = 0.05;
/** vCPUs that a core bears: above it, CPUs are what a box lacks. */
const vcpusPerCore = 4;
const greatestPlan = 16;

const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0);

/** 0 to 1 (more: overcommitted): of memory or CPUs, what is scarcer. */
export function pressureOf({ memory, cpus, vms }: Omit<BoxLoad, 'box'>): number {
  const ofMemory = memory > 0 ? sum(vms.map((one) => one.memory)) / memory : 1;
  const ofCpus = cpus > 0 ? sum(vms.map((one) => one.vcpus)) / (cpus * vcpusPerCore) : 1;
  return Math.max(ofMemory, ofCpus);
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;
const byName = (a: PlacedVm, b: PlacedVm): number => `${a.project}/${a.vm}`.localeCompare(`${b.project}/${b.vm}`);

export function planBalance(given: readonly BoxLoad[]): Move[] {
  const boxes = given.map((one) => ({ ...one, vms: one.vms.toSorted(byName) })).toSorted((a, b) => a.box.localeCompare(b.box));
  const moves: Move[] = [];
  const moved = new Set<PlacedVm>();
  while (moves.length < greatestPlan) {
    const byPressure = boxes.toSorted((a, b) => pressureOf(b) - pressureOf(a));
    const [from, to] = [byPressure[0], byPressure.at(-1)];
    if (!from || !to || pressureOf(from) - pressureOf(to) <= tolerance) return moves;
    const [before, beforeTo] = [pressureOf(from), pressureOf(to)];
    const after = (one: PlacedVm) =>
      [
        pressureOf({ ...from, vms: from.vms.filter((other) => other !== one) }),
        pressureOf({ ...to, vms: [...to.vms, one] }),
      ] as const;
    // The one whose going leaves the fuller of the two the emptiest; nobody moves twice.
    const [best] = from.vms
      .filter((one) => one.stays === undefined && !one.moving && !moved.has(one))
      .map((one) => ({ one, worst: Math.max(...after(one)) }))
      .toSorted((a, b) => a.worst - b.worst);
    if (!best || best.worst > Math.min(before - gain, 1)) return moves;
    const { one } = best;
    const [left, right] = after(one);
    const why = `${from.box} is at ${percent(before)} and ${to.box} at ${percent(beforeTo)}; afterwards ${percent(left)} and ${percent(right)}.`;
    moves.push({ vm: one.vm, project: one.project, from: from.box, to: to.box, why });
    moved.add(one);
    from.vms = from.vms.filter((other) => other !== one);
    to.vms = [...to.vms, one];
  }
  return moves;
}
