/** The box's side of the API's port: guests' consoles and the actions that have no desired state. */
import { mkdtemp, readFile, rm, chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CroftError } from '../errors.ts';
import type { BoxPort, GuestAction, VmKey } from '../ports.ts';
import { storagePool } from '../resources/croft-kinds.ts';
import { persistentVolumeClaim, poolOfClaim } from '../resources/data-volume.ts';
import { idLabel } from '../resources/identity.ts';
import { virtualMachine, type VirtualMachine, virtualMachineInstance } from '../resources/virtual-machine.ts';
import { mustGet } from '../store/edit.ts';
import type { VmContext } from './context.ts';
import { explainVm } from './explain.ts';
import { wishedDisks } from './guest-shape.ts';
import { survivalSentence, type DiskSafety } from './survival.ts';
import type { Guest } from './hypervisor.ts';
import { actionStates, stateOf, type VmAction } from './lifecycle.ts';
import { memoryFree } from './memory.ts';
import { readUsage } from './stats.ts';
import { availableParallelism } from 'node:os';

const evidenceLimit = 10;

/** ms after which file systems that nobody thawed are thawed: upstream's default. A guest that stays frozen hangs. */
const longestFreeze = 5 * 60_000;
const frozen = new WeakMap<Guest, NodeJS.Timeout>();

/** @throws CroftError `invalid-state` without an agent */
async function freeze(guest: Guest, on: boolean): Promise<void> {
  clearTimeout(frozen.get(guest));
  if (!(await guest.freeze(on)))
    throw new CroftError('invalid-state', 'The guest agent does not answer: is qemu-guest-agent installed in the guest?');
  if (!on) return;
  // A guest that has ended meanwhile has nothing to thaw.
  frozen.set(guest, setTimeout(() => void guest.freeze(false).catch(() => undefined), longestFreeze).unref());
}

const doers: Record<GuestAction, (guest: Guest) => Promise<void>> = {
  freeze: (guest) => freeze(guest, true),
  unfreeze: (guest) => freeze(guest, false),
  pause: (guest) => guest.pause(),
  unpause: (guest) => guest.resume(),
  reset: (guest) => guest.reset(),
  // The power button's sibling: the guest's own reboot is asked for over Ctrl-Alt-Del, as upstream does without an agent.
  'soft-reboot': (guest) =>
    guest.qmp('send-key', { keys: ['ctrl', 'alt', 'delete'].map((data) => ({ type: 'qcode', data })) }).then(() => undefined),
};

/** What of the port is about guests; the rest is added where the box is composed. */
export type GuestPort = Omit<BoxPort, 'cluster' | 'nics'>;

/** `reconcile` is called after an action, so that the status follows at once. */
export function createBoxPort(context: VmContext, reconcile: (key: VmKey) => void): GuestPort {
  const guestOf = async (key: VmKey, action: VmAction): Promise<Guest> => {
    const vm = await mustGet(context.store, virtualMachine, key.name, key.namespace);
    const guest = context.registry.get(vm.metadata.labels?.[idLabel] ?? '');
    if (guest) return guest;
    const state = stateOf(vm.status?.printableStatus ?? 'Provisioning');
    const allowed = actionStates[action].map(stateOf).join(', ');
    throw new CroftError('invalid-state', `${key.name} is ${state}; ${action} is possible when it is ${allowed}.`);
  };

  return {
    act: async (key, action) => {
      await doers[action](await guestOf(key, action));
      reconcile(key);
    },
    openConsole: async (key, kind) => (await guestOf(key, kind === 'vnc' ? 'vnc' : 'console')).openConsole(kind),
    screenshot: async (key) => screenshot(await guestOf(key, 'vnc'), context.ownerOf),
    explain: async (key) => {
      const vm = await mustGet(context.store, virtualMachine, key.name, key.namespace);
      const instance = await context.store.get(virtualMachineInstance, key.name, key.namespace);
      const about = { kind: 'VirtualMachine', name: key.name, project: key.namespace, limit: evidenceLimit };
      const disks = survivalSentence(await safetyOf(context, vm));
      return { ...explainVm(vm, instance, context.events.list(about)), ...(disks === undefined ? {} : { disks }) };
    },
    stats: () => readUsage(context),
    guestLists: async (key) => {
      const lists = await (await guestOf(key, 'console')).agentLists();
      if (lists) return lists;
      throw new CroftError(
        'invalid-state',
        `The guest agent of ${key.name} does not answer: is qemu-guest-agent installed in it?`,
      );
    },
    history: async (subject, range) => context.history.read(subject, range),
    recentUse: async () => {
      const ids = context.instances().flatMap(({ metadata }) => metadata.labels?.[idLabel] ?? []);
      return Object.fromEntries(ids.map((id) => [id, context.history.read(id, 'line')]));
    },
    onSample: (listener) => context.history.subscribe(listener),
    capacity: async () => ({
      memoryFree: Math.max(0, memoryFree(context.memory, context.instances())),
      memoryTotal: context.memory.total,
      cpus: availableParallelism(),
    }),
  };
}

async function safetyOf({ store }: VmContext, vm: VirtualMachine): Promise<DiskSafety[]> {
  const pools = await store.list(storagePool);
  const found = wishedDisks(vm.spec.template.spec).map(async ({ volume, claim }): Promise<DiskSafety[]> => {
    const present = await store.get(persistentVolumeClaim, claim, vm.metadata.namespace);
    if (!present) return [];
    const pool = poolOfClaim(present);
    const survives = pools.items.find(({ metadata }) => metadata.name === pool)?.status?.health?.survives;
    return [{ name: volume, pool, survives }];
  });
  return (await Promise.all(found)).flat();
}

/** QEMU writes the picture itself, as its own user: into a directory of its own, read and removed at once. */
async function screenshot(guest: Guest, ownerOf: VmContext['ownerOf']): Promise<Buffer> {
  const directory = await mkdtemp(join(tmpdir(), 'croft-screen-'));
  try {
    // World-writable but unguessable: QEMU runs as another user, and the picture is there for milliseconds.
    if (ownerOf(guest.id)) await chmod(directory, 0o733);
    const file = join(directory, 'screen.png');
    await guest.qmp('screendump', { filename: file, format: 'png' });
    return await readFile(file);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
