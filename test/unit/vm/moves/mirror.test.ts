/** Moves by the real reconciler with a real QEMU that stands still, between two local pools; what a guest would write is written by qemu-io. */
import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLogger } from '../../../../appliance/host/logger.ts';
import { createQemuHypervisor } from '../../../../appliance/qemu/hypervisor.ts';
import { startInformer } from '../../../../appliance/reconcile/informer.ts';
import { createLocks } from '../../../../appliance/reconcile/locks.ts';
import { moveAnnotation, persistentVolumeClaim, poolOfClaim } from '../../../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../../../appliance/resources/identity.ts';
import { virtualMachineInstance } from '../../../../appliance/resources/virtual-machine.ts';
import { volumeMove } from '../../../../appliance/resources/volume-move.ts';
import { openSqliteStore } from '../../../../appliance/store/sqlite.ts';
import type { VmContext } from '../../../../appliance/vm/context.ts';
import { createGuestRegistry } from '../../../../appliance/vm/guest-registry.ts';
import type { Hypervisor } from '../../../../appliance/vm/hypervisor.ts';
import { startMoves } from '../../../../appliance/vm/moves/service.ts';
import { createLocalDriver } from '../../../../storage/local/driver.ts';
import type { VolumeDriver } from '../../../../storage/driver.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { memoryEvents } from '../../../helpers/sim-box.ts';

const mib = 2 ** 20;
const namespace = 'default';
const uid = process.getuid?.() === 0 ? 1_900_000_778 : undefined;
const owner = uid === undefined ? undefined : { uid, gid: uid };

let base: string;
let store: ReturnType<typeof openSqliteStore>;
let pools: Record<string, VolumeDriver>;
let hypervisor: Hypervisor;
let context: VmContext;
let stop: () => Promise<void>;
const vmId = newId();
const volumeId = newId();

async function start(): Promise<void> {
  hypervisor = createQemuHypervisor({ vms: join(base, 'vms'), dataDir: base, accel: 'tcg', logger: silentLogger() });
  const informers = {
    volumeMove: startInformer(store, volumeMove),
    persistentVolumeClaim: startInformer(store, persistentVolumeClaim),
  };
  context = {
    store,
    hypervisor,
    registry: createGuestRegistry(hypervisor, silentLogger()),
    volumes: { resolve: async () => ({ pending: 'not asked' }), pool: (name: string) => pools[name] as VolumeDriver },
    events: memoryEvents(),
    locks: createLocks(),
    logger: silentLogger(),
    nodeName: 'box-1',
    instances: () => [],
    ownerOf: () => owner,
  } as unknown as VmContext;
  await context.registry.adopt();
  const moves = startMoves(context, informers, { logger: silentLogger(), retire: async () => undefined });
  stop = async () => {
    await moves.stop();
    await Promise.all(Object.values(informers).map((informer) => informer.stop()));
    await hypervisor.close();
  };
}

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'croft-mi-'));
  await chmod(base, 0o711);
  await mkdir(join(base, 'vms'), { mode: 0o711 });
  store = openSqliteStore({ path: join(base, 'store.db') });
  pools = {
    local: createLocalDriver({ path: join(base, 'local'), reserve: 0 }),
    fast: createLocalDriver({ path: join(base, 'fast'), reserve: 0 }),
  };
  for (const driver of Object.values(pools)) await driver.open();
  await start();
  await pools.local?.create({ id: volumeId, size: 64 * mib, source: { blank: true } });
  await store.create(persistentVolumeClaim, { metadata: { name: 'data', namespace, labels: { [idLabel]: volumeId } }, spec: {} });
  const claim = await store.get(persistentVolumeClaim, 'data', namespace);
  if (claim)
    await store.updateStatus(persistentVolumeClaim, { ...claim, status: { phase: 'Bound', capacity: { storage: 64 * mib } } });
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }];
  await store.create(virtualMachineInstance, {
    metadata: { name: 'vm', namespace, labels: { [idLabel]: vmId } },
    spec: { domain: { devices: {} }, volumes },
  });
  const graph = await (pools.local as VolumeDriver).blockdev(volumeId, 'd0', owner);
  const guest = await hypervisor.launch({
    id: vmId,
    title: 'default/vm',
    epoch: 1,
    cpus: { sockets: 1, cores: 1, threads: 1 },
    memory: 32 * mib,
    firmware: 'bios',
    disks: [{ name: 'data', index: 0, kind: 'disk', bus: 'virtio', graph }],
    nics: [],
    graphics: false,
    paused: true,
    ...(uid === undefined ? {} : { uid }),
  });
  context.registry.add(guest);
});

afterEach(async () => {
  await context.registry.get(vmId)?.kill();
  await stop();
  await store.close();
  await rm(base, { recursive: true, force: true });
});

/** As a write of the guest that is flushed. */
const io = async (command: string): Promise<void> => {
  for (const one of [command, 'flush']) {
    const line = `qemu-io -d /machine/peripheral/disk0-data/virtio-backend "${one}"`;
    const said = await context.registry.get(vmId)?.qmp<string>('human-monitor-command', { 'command-line': line });
    if (/error|failed/i.test(String(said))) throw new Error(String(said));
  }
};
const wish = (name: string, pool: string, bandwidth?: number) =>
  store.create(volumeMove, {
    metadata: { name, namespace },
    spec: { claimName: 'data', pool, ...(bandwidth ? { bandwidth } : {}) },
  });
const move = (name: string) => store.get(volumeMove, name, namespace);
const arrived = (name: string) =>
  eventually(
    async () => {
      const found = await move(name);
      if (found?.status?.phase !== 'Succeeded') throw new Error(JSON.stringify(found?.status));
    },
    { timeout: 20_000 },
  );
const unmarked = () =>
  eventually(async () => {
    const claim = await store.get(persistentVolumeClaim, 'data', namespace);
    expect(claim?.metadata.annotations?.[moveAnnotation]).toBeUndefined();
    return claim && poolOfClaim(claim);
  });
const holders = async (): Promise<string[]> => {
  const found = await Promise.all(
    Object.keys(pools).map(async (name) => ((await readdir(join(base, name, 'volumes'))).includes(volumeId) ? [name] : [])),
  );
  return found.flat();
};

it('moves an open disk to and fro, is cancelled, and goes on after the service was started again', {
  timeout: 120_000,
}, async () => {
  await io('write -P 1 0 8M');
  await wish('first', 'fast');
  await arrived('first');
  expect(await unmarked()).toBe('fast');
  expect(await holders()).toEqual(['fast']);

  await io('write -P 2 1M 1M');
  await wish('slow', 'local', mib);
  await eventually(async () => expect((await move('slow'))?.status?.progress).toBeGreaterThan(0), { timeout: 20_000 });
  await io('write -P 3 2M 1M');
  await store.delete(volumeMove, 'slow', namespace);
  await eventually(async () => expect(await move('slow')).toBeUndefined(), { timeout: 20_000 });
  expect(await unmarked()).toBe('fast');
  expect(await holders()).toEqual(['fast']);

  await wish('cut', 'local', 2 * mib);
  await eventually(async () => expect((await move('cut'))?.status?.progress).toBeGreaterThan(0), { timeout: 20_000 });
  await stop();
  await start();
  await io('write -P 4 3M 1M');
  await io('write -P 5 40M 1M');
  await arrived('cut');
  expect(await unmarked()).toBe('local');
  expect(await holders()).toEqual(['local']);
  const pattern = { 0: 1, 1: 2, 2: 3, 3: 4, 4: 1, 40: 5, 41: 0 };
  for (const [at, byte] of Object.entries(pattern)) await io(`read -P ${byte} ${at}M 1M`);
});
