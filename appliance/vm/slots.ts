/**
 * Slots: a NIC or disk keeps the index it was first given, also when others come and go, because the index is
 * in its tap's name and its PCI device's id. Kept per VM in the box's journal.
 */
import type { Journal } from '../reconcile/saga.ts';

/** Where slots are kept: the box store's journal, as JSON. */
export type SlotJournal = Pick<Journal, 'get' | 'put' | 'delete'>;

export type Slots = Record<string, number>;

/** Keeps known names' slots, gives the lowest free ones to new names, frees those of gone names. Pure. */
export function assignSlots(before: Slots, names: readonly string[]): Slots {
  const kept = Object.fromEntries(names.flatMap((name) => (before[name] === undefined ? [] : [[name, before[name]]])));
  const taken = new Set(Object.values(kept));
  let next = 0;
  for (const name of names) {
    if (kept[name] !== undefined) continue;
    while (taken.has(next)) next++;
    kept[name] = next;
    taken.add(next);
  }
  return kept;
}

const keyOf = (vmId: string, device: 'nic' | 'disk'): string => `slots/${vmId}/${device}`;

/** Slots as they were given last. */
export function readSlots(journal: Pick<Journal, 'get'>, vmId: string, device: 'nic' | 'disk'): Slots {
  const text = journal.get(keyOf(vmId, device));
  return text === undefined ? {} : (JSON.parse(text) as Slots);
}

/** Slots of one VM and device class, assigned and remembered. */
export function slotsFor(journal: SlotJournal, vmId: string, device: 'nic' | 'disk', names: readonly string[]): Slots {
  const before = readSlots(journal, vmId, device);
  const slots = assignSlots(before, names);
  if (JSON.stringify(slots) !== JSON.stringify(before)) journal.put(keyOf(vmId, device), JSON.stringify(slots));
  return slots;
}

export function forgetSlots(journal: SlotJournal, vmId: string): void {
  journal.delete(keyOf(vmId, 'nic'));
  journal.delete(keyOf(vmId, 'disk'));
}
