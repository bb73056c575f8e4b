/**
 * The guests of this box: those that run, and how those ended whose end has not been written to the store yet.
 * The registry is rebuilt by adoption at start; nothing in it needs to survive.
 */
import type { Logger } from '../host/logger.ts';
import type { Guest, GuestExit, Hypervisor } from './hypervisor.ts';

export type GuestEnd = { epoch: number; exit: GuestExit | 'node-rebooted' };

/** Why QEMU stopped a guest: which disk, and what the host said. */
export type IoError = { disk: string; reason: string };

export type GuestRegistry = {
  get(id: string): Guest | undefined;
  all(): Guest[];
  /** How the guest of this epoch ended; undefined when unknown. */
  endOf(id: string, epoch: number): GuestEnd['exit'] | undefined;
  /** When the power button was pressed, ms since the epoch. */
  poweredDownAt(id: string): number | undefined;
  notePowerDown(id: string): void;
  /** The last disk error of a guest that stands still for it; undefined when it isn't known. */
  ioErrorOf(id: string): IoError | undefined;
  /** Why the guest stands still, told by who keeps it so. */
  holdOf(id: string): string | undefined;
  /** True when that changed. */
  setHold(id: string, sentence: string | undefined): boolean;
  add(guest: Guest): void;
  /** Forgets the guest and its end. */
  remove(id: string): void;
  /** Called with a VM's id when its guest said something. */
  onChange(listener: (id: string) => void): void;
  /** Finds guests that outlived the service. Returns the ids found running. */
  adopt(): Promise<string[]>;
};

export function createGuestRegistry(hypervisor: Hypervisor, logger: Logger): GuestRegistry {
  const guests = new Map<string, Guest>();
  const ends = new Map<string, GuestEnd>();
  const powerDowns = new Map<string, number>();
  const ioErrors = new Map<string, IoError>();
  const holds = new Map<string, string>();
  const listeners = new Set<(id: string) => void>();

  const add = (guest: Guest) => {
    guests.set(guest.id, guest);
    ends.delete(guest.id);
    powerDowns.delete(guest.id);
    guest.subscribe((event) => {
      if (event.type === 'exit' && guests.get(guest.id) === guest) {
        guests.delete(guest.id);
        ends.set(guest.id, { epoch: guest.epoch, exit: event.exit });
      }
      if (event.type === 'io-error') ioErrors.set(guest.id, { disk: event.disk, reason: event.reason });
      if (event.type === 'state' && event.state === 'running') ioErrors.delete(guest.id);
      if (event.type === 'io-error')
        logger.warn({ vm: guest.id, disk: event.disk, reason: event.reason }, 'disk error: the guest is paused');
      for (const listener of listeners) listener(guest.id);
    });
  };

  return {
    get: (id) => guests.get(id),
    all: () => [...guests.values()],
    endOf: (id, epoch) => {
      const end = ends.get(id);
      return end?.epoch === epoch ? end.exit : undefined;
    },
    poweredDownAt: (id) => powerDowns.get(id),
    notePowerDown: (id) => void powerDowns.set(id, Date.now()),
    ioErrorOf: (id) => ioErrors.get(id),
    holdOf: (id) => holds.get(id),
    setHold: (id, sentence) => {
      if (holds.get(id) === sentence) return false;
      if (sentence === undefined) holds.delete(id);
      else holds.set(id, sentence);
      return true;
    },
    add,
    remove: (id) => {
      guests.delete(id);
      ends.delete(id);
      powerDowns.delete(id);
      ioErrors.delete(id);
      holds.delete(id);
    },
    onChange: (listener) => void listeners.add(listener),
    adopt: async () => {
      const found = await hypervisor.adopt();
      for (const guest of found.guests) add(guest);
      for (const { id, epoch, exit } of found.ended) ends.set(id, { epoch, exit });
      for (const { pid, uuid } of found.unknown)
        logger.warn({ pid, uuid }, 'a QEMU without a record of ours runs here: left alone');
      return found.guests.map((guest) => guest.id);
    },
  };
}
