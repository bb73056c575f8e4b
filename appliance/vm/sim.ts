/**
 * The simulated hypervisor: for property tests and `npm run dev`. Guests are records that live outside the
 * service's own memory (a shared `world`), so that "the service was killed" can be simulated by making a new
 * hypervisor on the same world.
 */
import { Duplex } from 'node:stream';
import { CroftError } from '../errors.ts';
import { createSimBlocks, simQmp, type SimBlocks } from './sim-mirror.ts';
import type {
  Adoption,
  Guest,
  GuestDisk,
  GuestEvent,
  GuestExit,
  GuestNic,
  GuestRunState,
  GuestSpec,
  GuestStats,
  Hypervisor,
} from './hypervisor.ts';

type SimGuest = {
  spec: GuestSpec;
  pid: number;
  state: GuestRunState;
  exit?: GuestExit;
  disks: Set<string>;
  media: Map<string, string>;
  nics: Set<string>;
  blocks: SimBlocks;
};

/** What would be the machine's processes. `faults` makes the next calls fail. */
export type SimWorld = {
  guests: Map<string, SimGuest>;
  nextPid: number;
  /** Guests that ignore the power button. */
  deaf: Set<string>;
  /** Called before each operation; may throw to simulate its failure. */
  fault: (operation: string, id: string) => void;
  listeners: Map<string, Set<(event: GuestEvent) => void>>;
  /** Ids that were ever started while one of the same id ran: must stay empty. */
  doubleStarts: string[];
};

export const createSimWorld = (): SimWorld => ({
  guests: new Map(),
  nextPid: 1000,
  deaf: new Set(),
  fault: () => undefined,
  listeners: new Map(),
  doubleStarts: [],
});

const tell = (world: SimWorld, id: string, event: GuestEvent): void => {
  for (const listener of world.listeners.get(id) ?? []) listener(event);
};

/** What happens to a guest from inside or from outside the service: power-off, panic, crash. */
export function endSimGuest(world: SimWorld, id: string, exit: GuestExit): void {
  const guest = world.guests.get(id);
  if (!guest) return;
  if (exit === 'shutdown' || exit === 'panicked') {
    guest.state = exit;
    tell(world, id, { type: 'state', state: exit });
  } else {
    world.guests.delete(id);
    tell(world, id, { type: 'exit', exit });
  }
}

function setState(world: SimWorld, id: string, state: GuestRunState): void {
  const guest = world.guests.get(id);
  if (!guest) return;
  guest.state = state;
  tell(world, id, { type: 'state', state });
}

/** A console that says who it is and echoes. */
function echoConsole(title: string): Duplex {
  const stream = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      stream.push(chunk);
      done();
    },
  });
  stream.push(`${title} (simulated)\r\n`);
  return stream;
}

/** Counters of a guest whose load goes up and down, each guest at its own pace. */
function simStats({ pid, spec, disks }: SimGuest, now: number): GuestStats {
  const seconds = now / 1_000;
  const period = 300 + (pid % 7) * 60;
  // The integral of 0.5 + 0.4 sin(2πt/period): counters that never fall.
  const busy = seconds / 2 - (0.4 * period * Math.cos((2 * Math.PI * seconds) / period)) / (2 * Math.PI);
  const operations = Math.floor(busy * 40);
  const disk = {
    readBytes: operations * 8_192,
    writeBytes: operations * 16_384,
    reads: operations,
    writes: operations * 2,
    flushes: Math.floor(operations / 8),
    readSeconds: operations * 0.000_4,
    writeSeconds: operations * 0.001_6,
    flushSeconds: operations * 0.000_2,
  };
  const used = spec.memory * (0.4 + 0.2 * Math.sin((2 * Math.PI * seconds) / period));
  return {
    cpuSeconds: busy,
    cpuSystemSeconds: busy / 5,
    vcpuSeconds: [busy],
    residentBytes: Math.round(used),
    memory: { total: spec.memory, free: Math.round(spec.memory - used), available: Math.round(spec.memory - used) },
    disks: Object.fromEntries([...disks].map((name) => [name, disk])),
  };
}

function simGuest(world: SimWorld, id: string, record: SimGuest): Guest {
  const there = (operation: string): SimGuest => {
    world.fault(operation, id);
    if (world.guests.get(id) !== record) throw new CroftError('invalid-state', `The guest ${id} has ended.`);
    return record;
  };
  const toggle = (set: (guest: SimGuest) => Set<string>, operation: string, name: string, present: boolean) => {
    const names = set(there(operation));
    if (present) names.add(name);
    else names.delete(name);
  };
  return {
    id,
    epoch: record.spec.epoch,
    pid: record.pid,
    shape: { machine: record.spec.machine ?? 'pc-q35-1.0', accelerator: 'tcg', ports: { nic: 0, disk: 0 } },
    state: async () => (world.guests.get(id) === record ? record.state : 'unresponsive'),
    powerdown: async () => {
      there('powerdown');
      if (!world.deaf.has(id)) queueMicrotask(() => endSimGuest(world, id, 'shutdown'));
    },
    pause: async () => void (there('pause'), setState(world, id, 'paused')),
    resume: async () => void (there('resume'), setState(world, id, 'running')),
    reset: async () => void (there('reset'), tell(world, id, { type: 'reset' })),
    kill: async () => {
      if (world.guests.get(id) !== record) return;
      const exit = record.state === 'shutdown' || record.state === 'panicked' ? record.state : 'killed';
      world.guests.delete(id);
      tell(world, id, { type: 'exit', exit });
    },
    qmp: async (command: string, args = {}) => simQmp(there('qmp').blocks, [...record.disks], command, args) as never,
    disks: async () => [...there('query').disks],
    topNodes: async () => new Map([...there('query').media].map(([name, top]) => [name, record.blocks.tops.get(name) ?? top])),
    nics: async () => [...there('query').nics],
    attachDisk: async (disk: GuestDisk) => {
      toggle((guest) => guest.disks, 'attach-disk', disk.name, true);
      if (disk.graph) record.media.set(disk.name, disk.graph.top);
    },
    detachDisk: async (name) => {
      toggle((guest) => guest.disks, 'detach-disk', name, false);
      record.media.delete(name);
    },
    changeMedium: async (name, graph) => {
      const { media } = there('change-medium');
      if (graph) media.set(name, graph.top);
      else media.delete(name);
    },
    attachNic: async (nic: GuestNic) => toggle((guest) => guest.nics, 'attach-nic', nic.name, true),
    detachNic: async (name) => toggle((guest) => guest.nics, 'detach-nic', name, false),
    setLink: async () => void there('set-link'),
    openConsole: async () => (there('console'), echoConsole(record.spec.title)),
    agentInfo: async () => undefined,
    agentLists: async () => undefined,
    freeze: async () => false,
    stats: async () => simStats(there('stats'), Date.now()),
    subscribe: (listener) => {
      const listeners = world.listeners.get(id) ?? new Set();
      world.listeners.set(id, listeners.add(listener));
      return () => void listeners.delete(listener);
    },
  };
}

export const createSimHypervisor = (world: SimWorld = createSimWorld()): Hypervisor => ({
  accelerator: async () => ({ name: 'tcg', reason: 'simulated' }),
  versions: async () => ({ qemu: 'simulated' }),
  adopt: async (): Promise<Adoption> => {
    world.listeners.clear();
    return { guests: [...world.guests].map(([id, record]) => simGuest(world, id, record)), ended: [], unknown: [] };
  },
  launch: async (spec) => {
    world.fault('launch', spec.id);
    if (world.guests.has(spec.id)) {
      world.doubleStarts.push(spec.id);
      throw new CroftError('already-exists', `A guest of ${spec.title} runs already.`);
    }
    const record: SimGuest = {
      spec,
      pid: world.nextPid++,
      state: spec.paused ? 'paused' : 'running',
      disks: new Set(spec.disks.map((disk) => disk.name)),
      media: new Map(spec.disks.flatMap((disk): [string, string][] => (disk.graph ? [[disk.name, disk.graph.top]] : []))),
      nics: new Set(spec.nics.map((nic) => nic.name)),
      blocks: createSimBlocks(),
    };
    world.guests.set(spec.id, record);
    return simGuest(world, spec.id, record);
  },
  forget: async () => undefined,
  close: async () => undefined,
});
