/**
 * A running VM goes from box to box: two boxes' services and QEMUs on one machine, one store, one disk, TLS between them, a
 * Linux guest that writes to its disk all the while, its acknowledged writes noted outside. To and fro, cancelled, with a
 * target that dies and services that are killed in the middle: never two guests run, and no write is lost.
 */
import { chmod, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../appliance/host/logger.ts';
import { createQemuHypervisor } from '../../appliance/qemu/hypervisor.ts';
import { startInformer } from '../../appliance/reconcile/informer.ts';
import { createLocks } from '../../appliance/reconcile/locks.ts';
import { memoryJournal } from '../../appliance/reconcile/saga.ts';
import { persistentVolumeClaim } from '../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../appliance/resources/identity.ts';
import { virtualMachineInstanceMigration } from '../../appliance/resources/migration.ts';
import { virtualMachineInstance } from '../../appliance/resources/virtual-machine.ts';
import { openSqliteStore } from '../../appliance/store/sqlite.ts';
import type { VmContext } from '../../appliance/vm/context.ts';
import { createGuestRegistry } from '../../appliance/vm/guest-registry.ts';
import type { Hypervisor } from '../../appliance/vm/hypervisor.ts';
import { executeLaunch } from '../../appliance/vm/launch.ts';
import { hostnameLabel } from '../../appliance/vm/migration/migration-reconciler.ts';
import { startMigrations } from '../../appliance/vm/migration/service.ts';
import { soloPlacement } from '../../appliance/vm/placement.ts';
import { createLocalDriver } from '../../storage/local/driver.ts';
import type { VolumeDriver } from '../../storage/driver.ts';
import { selfSigned } from '../../appliance/host/self-signed.ts';
import { eventually } from '../helpers/eventually.ts';
import { acknowledgedIn, judge, loadScript, readBack } from '../helpers/guest-load.ts';
import { countingPlugger, memoryEvents } from '../helpers/sim-box.ts';
import { tinyImage } from '../helpers/tiny-image.ts';
import { usedComponent } from '../report/components.ts';

const mib = 2 ** 20;
const uid = process.getuid?.() === 0 ? 1_900_000_777 : undefined;
const figure = (text: string): void => void process.stdout.write(`figure: ${text}\n`);
const day = 24 * 3_600_000;

let base: string;
let store: ReturnType<typeof openSqliteStore>;
let driver: VolumeDriver;
const vmId = newId();
const namespace = 'default';

const certify = (name: string) =>
  selfSigned({
    commonName: name,
    names: [{ type: 'dns', value: name }],
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + day),
  });

/** One box: what of it takes part in a migration. `restart`: as a killed service that is started again. */
async function makeBox(name: string, other: string) {
  const directory = join(base, name);
  for (const path of [directory, join(directory, 'vms'), join(directory, 'data'), join(directory, 'seeds')]) {
    await mkdir(path, { mode: 0o711 });
  }
  const journal = memoryJournal();
  let hypervisor: Hypervisor;
  let context: VmContext;
  let stop: () => Promise<void>;
  const start = async (): Promise<void> => {
    const logger = silentLogger();
    hypervisor = createQemuHypervisor({ vms: join(directory, 'vms'), dataDir: join(directory, 'data'), accel: 'tcg', logger });
    const informers = {
      virtualMachineInstanceMigration: startInformer(store, virtualMachineInstanceMigration),
      virtualMachineInstance: startInformer(store, virtualMachineInstance),
    };
    context = {
      store,
      hypervisor,
      registry: createGuestRegistry(hypervisor, logger),
      volumes: {
        resolve: async (_namespace: string, claim: string) => {
          const found = await store.get(persistentVolumeClaim, claim, namespace);
          return { driver, volumeId: found?.metadata.labels?.[idLabel] ?? '', size: 64 * mib };
        },
        pool: () => driver,
      },
      plugger: countingPlugger(),
      events: memoryEvents(),
      journal,
      memory: { total: 2 ** 34, reserve: 0, overcommit: 1 },
      locks: createLocks(),
      placement: soloPlacement,
      logger,
      nodeName: name,
      bootId: 'boot',
      seedDirectory: join(directory, 'seeds'),
      instances: () => informers.virtualMachineInstance.list(),
      ownerOf: () => (uid === undefined ? undefined : { uid, gid: uid }),
    } as unknown as VmContext;
    await context.registry.adopt();
    const parts = {
      context,
      address: '127.0.0.1',
      certify,
      targets: async () => [other],
      isShared: async () => true,
      isFenced: async () => false,
    };
    const migrations = startMigrations(parts, informers, logger);
    stop = async () => {
      await migrations.stop();
      await Promise.all(Object.values(informers).map((informer) => informer.stop()));
      await hypervisor.close();
    };
  };
  await start();
  return {
    name,
    get context() {
      return context;
    },
    guest: () => context.registry.get(vmId),
    serialLog: () => readFile(join(directory, 'vms', vmId, 'serial.log'), 'latin1').catch(() => ''),
    stop: () => stop(),
    async restart() {
      await stop();
      await start();
    },
    async dispose() {
      await context.registry.get(vmId)?.kill();
      await stop();
    },
  };
}

type Box = Awaited<ReturnType<typeof makeBox>>;
let a: Box;
let b: Box;
let console_: { stream: Duplex; text: string };
/** All that the guest ever said, over all boxes. */
let journal = '';

const listen = async (box: Box): Promise<void> => {
  const stream = (await box.guest()?.openConsole('serial')) as Duplex;
  const opened = { stream, text: '' };
  console_ = opened;
  stream.on('error', () => undefined); // The console goes with its QEMU.
  stream.on('data', (chunk: Buffer) => {
    opened.text += chunk.toString('latin1');
    journal += chunk.toString('latin1');
  });
};
const expectText = (pattern: RegExp, timeout = 120_000): Promise<unknown> =>
  eventually(() => pattern.test(console_.text), { timeout, interval: 100 });
const type = (line: string): void => {
  console_.text = '';
  console_.stream.write(`${line}\n`);
};

const running = async (): Promise<string[]> => {
  const found = await Promise.all([a, b].map(async (box) => ((await box.guest()?.state()) === 'running' ? [box.name] : [])));
  return found.flat();
};
const migrationOf = async (name: string) => store.get(virtualMachineInstanceMigration, name, namespace);

async function migrate(name: string, target?: string): Promise<void> {
  await store.create(virtualMachineInstanceMigration, {
    metadata: { name, namespace },
    spec: { vmiName: 'vm', ...(target ? { addedNodeSelector: { [hostnameLabel]: target } } : {}) },
  });
}

const ended = (name: string) =>
  eventually(
    async () => {
      const found = await migrationOf(name);
      expect((await running()).length).toBeLessThanOrEqual(1);
      if (found?.status?.croft?.endedAt === undefined) throw new Error(`${name}: ${JSON.stringify(found?.status)}`);
      return found;
    },
    { timeout: 120_000, interval: 50 },
  );

const goesOn = async (more = 20): Promise<void> => {
  const before = acknowledgedIn(journal).length;
  await eventually(() => acknowledgedIn(journal).length >= before + more, { timeout: 120_000, interval: 100 });
};

beforeAll(async () => {
  const image = await tinyImage();
  base = await mkdtemp(join(tmpdir(), 'croft-m-'));
  await chmod(base, 0o711);
  store = openSqliteStore({ path: join(base, 'store.db') });
  driver = createLocalDriver({ path: join(base, 'pool'), reserve: 0 });
  await driver.open();
  const imageId = newId();
  const copy = join(base, 'image.qcow2');
  await import('node:fs/promises').then((fs) => fs.copyFile(image, copy));
  const { size } = await driver.importImage(imageId, copy);
  for (const name of ['root', 'data']) {
    const id = newId();
    await driver.create({ id, size: name === 'root' ? size : 64 * mib, source: name === 'root' ? { imageId } : { blank: true } });
    await store.create(persistentVolumeClaim, { metadata: { name, namespace, labels: { [idLabel]: id } }, spec: {} });
  }
  a = await makeBox('a', 'b');
  b = await makeBox('b', 'a');
  const volumes = ['root', 'data'].map((name) => ({ name, persistentVolumeClaim: { claimName: name } }));
  const instance = await store.create(virtualMachineInstance, {
    metadata: { name: 'vm', namespace, labels: { [idLabel]: vmId } },
    spec: { domain: { memory: { guest: '160Mi' }, devices: { autoattachGraphicsDevice: false } }, volumes },
  });
  expect(await executeLaunch(a.context, instance, vmId)).toEqual({ started: true });
  await listen(a);
  await expectText(/login:/);
  type('root');
  await expectText(/# /);
  const script = Buffer.from(loadScript('/dev/vdb')).toString('base64');
  // Memory is written to as well: without that there is nothing to send twice.
  type(
    `(while :; do dd if=/dev/urandom of=/tmp/noise bs=64k count=16 2>/dev/null; done &); echo ${script} | base64 -d >/tmp/load; (sh /tmp/load &)`,
  );
  await goesOn(280);
}, 300_000);

afterAll(async () => {
  for (const box of [a, b]) await box?.dispose();
  await store?.close();
  await rm(base, { recursive: true, force: true });
}, 60_000);

describe('a VM under verify load', () => {
  it('goes to another box and back', { timeout: 300_000 }, async () => {
    usedComponent({ component: 'QEMU', mode: 'real', note: 'TCG, live migration over TLS' });
    const ways: [Box, Box][] = [
      [a, b],
      [b, a],
      [a, b],
    ];
    for (const [index, [from, to]] of ways.entries()) {
      await migrate(`m${index}`, to.name);
      await eventually(async () => expect(await to.guest()?.state()).toBe('running'), { timeout: 90_000, interval: 20 });
      await listen(to);
      const { status } = await ended(`m${index}`);
      expect(status).toMatchObject({ phase: 'Succeeded', migrationState: { completed: true } });
      figure(`${from.name} to ${to.name}: downtime ${status?.croft?.downtime} ms, total ${status?.croft?.total} ms`);
      expect(await running()).toEqual([to.name]);
      await eventually(() => expect(from.guest()).toBeUndefined());
      const instance = await store.get(virtualMachineInstance, 'vm', namespace);
      expect(instance?.status?.nodeName).toBe(to.name);
      await goesOn();
    }
  });

  it('stays where it is when the target dies or it is cancelled', { timeout: 300_000 }, async () => {
    await migrate('dies', 'a');
    const guest = await eventually(() => a.guest() ?? false, { timeout: 90_000, interval: 20 });
    if (guest) process.kill(guest.pid, 'SIGKILL');
    const { status } = await ended('dies');
    expect(status?.phase).toBe('Failed');
    expect(await running()).toEqual(['b']);
    await goesOn();

    await migrate('cancelled', 'a');
    await eventually(async () => (await migrationOf('cancelled'))?.status?.phase === 'PreparingTarget', { timeout: 60_000 });
    await store.delete(virtualMachineInstanceMigration, 'cancelled', namespace);
    await eventually(async () => (await migrationOf('cancelled')) === undefined, { timeout: 90_000 });
    expect((await store.get(virtualMachineInstance, 'vm', namespace))?.status?.migrationState).toMatchObject({ failed: true });
    expect(await running()).toEqual(['b']);
    await eventually(() => expect(a.guest()).toBeUndefined(), { timeout: 30_000 });
    await goesOn();
  });

  it('arrives though both services are started again on the way, with every write', { timeout: 300_000 }, async () => {
    await migrate('cut', 'a');
    await eventually(() => a.guest() !== undefined, { timeout: 90_000, interval: 10 });
    await Promise.all([a.restart(), b.restart()]);
    const { status } = await ended('cut');
    const [where] = await running();
    figure(`with both services started again: ${status?.phase}, it runs on ${where}`);
    expect(await running()).toHaveLength(1);
    const box = where === 'a' ? a : b;
    await listen(box);
    await goesOn();

    type('touch /tmp/load-stop');
    await expectText(/LOAD-ENDED/);
    type(`${readBack('/dev/vdb')}; echo "READ""-BACK"`);
    await expectText(/READ-BACK/);
    const logs = journal + (await a.serialLog()) + (await b.serialLog());
    const acknowledged = [...new Map(acknowledgedIn(logs).map((one) => [one.write, one])).values()].toSorted(
      (x, y) => x.write - y.write,
    );
    const result = judge(acknowledged, console_.text);
    figure(`${result.writes} acknowledged writes, ${result.lost} lost, worst stall ${result.stallMs} ms`);
    expect(result.lost).toBe(0);
  });
});
