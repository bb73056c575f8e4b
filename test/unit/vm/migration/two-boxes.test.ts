/** The whole of a migration between two boxes with real QEMUs that run nothing but their firmware: over, refused, cut off. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CroftError } from '../../../../appliance/errors.ts';
import { persistentVolumeClaim } from '../../../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../../../appliance/resources/identity.ts';
import { virtualMachineInstanceMigration } from '../../../../appliance/resources/migration.ts';
import { virtualMachineInstance, type VirtualMachineInstance } from '../../../../appliance/resources/virtual-machine.ts';
import { openSqliteStore } from '../../../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../../../appliance/store/store.ts';
import { executeLaunch } from '../../../../appliance/vm/launch.ts';
import { soloPlacement } from '../../../../appliance/vm/placement.ts';
import { createLocalDriver } from '../../../../storage/local/driver.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { makeMigrationBox, type MigrationBox } from '../../../helpers/migration-boxes.ts';

const namespace = 'default';
const vmId = newId();
let base: string;
let raw: ReturnType<typeof openSqliteStore>;
let a: MigrationBox;
let b: MigrationBox;
/** What becomes of the write that switches; the store of box `a` only. */
let trouble: ((object: VirtualMachineInstance) => Promise<'lost' | 'refused' | 'unanswered' | undefined>) | undefined;

const troubled = (store: ResourceStore): ResourceStore =>
  Object.assign(Object.create(store) as ResourceStore, {
    updateStatus: async (kind: typeof virtualMachineInstance, object: VirtualMachineInstance) => {
      const switches = kind.kind === 'VirtualMachineInstance' && object.status?.migrationState?.croft.state === 'switched';
      const how = switches ? await trouble?.(object) : undefined;
      if (how === 'refused') throw new CroftError('unavailable', 'simulated: no quorum');
      if (how === 'unanswered') await store.updateStatus(kind, object);
      if (how === 'lost' || how === 'unanswered') await new Promise((resolve) => setTimeout(resolve, 6_000));
      if (how !== undefined) throw new CroftError('command-timeout', 'simulated: no answer');
      return store.updateStatus(kind, object);
    },
  });

beforeEach(async () => {
  trouble = undefined;
  base = await mkdtemp(join(tmpdir(), 'croft-mb-'));
  await chmod(base, 0o711);
  raw = openSqliteStore({ path: join(base, 'store.db') });
  const driver = createLocalDriver({ path: join(base, 'pool'), reserve: 0 });
  await driver.open();
  const id = newId();
  await driver.create({ id, size: 2 ** 20, source: { blank: true } });
  await raw.create(persistentVolumeClaim, { metadata: { name: 'root', namespace, labels: { [idLabel]: id } }, spec: {} });
  const world = { base, driver, vmId };
  a = await makeMigrationBox({ ...world, store: troubled(raw) }, 'a', 'b');
  b = await makeMigrationBox({ ...world, store: raw }, 'b', 'a');
  const instance = await raw.create(virtualMachineInstance, {
    metadata: { name: 'vm', namespace, labels: { [idLabel]: vmId } },
    spec: {
      domain: { memory: { guest: '32Mi' }, devices: { autoattachGraphicsDevice: false } },
      volumes: [{ name: 'root', persistentVolumeClaim: { claimName: 'root' } }],
    },
  });
  expect(await executeLaunch(a.context, instance, vmId)).toEqual({ started: true });
});
afterEach(async () => {
  for (const box of [a, b]) await box?.dispose();
  await raw.close();
  await rm(base, { recursive: true, force: true });
});

const migration = (name: string) => raw.get(virtualMachineInstanceMigration, name, namespace);
const instance = () => raw.get(virtualMachineInstance, 'vm', namespace);
const migrate = (name: string) =>
  raw.create(virtualMachineInstanceMigration, { metadata: { name, namespace }, spec: { vmiName: 'vm' } });
const running = async (): Promise<string[]> => {
  const found = await Promise.all([a, b].map(async (box) => ((await box.guest()?.state()) === 'running' ? [box.name] : [])));
  return found.flat();
};
const ended = (name: string, phase: string) =>
  eventually(
    async () => {
      expect((await running()).length).toBeLessThanOrEqual(1);
      const found = await migration(name);
      if (found?.status?.phase !== phase || found.status.croft?.endedAt === undefined)
        throw new Error(JSON.stringify({ of: found?.status, state: (await instance())?.status?.migrationState?.croft }));
      return found;
    },
    { timeout: 40_000 },
  );

it('takes the guest to the other box and back', { timeout: 120_000 }, async () => {
  for (const [name, to, from] of [
    ['there', b, a],
    ['back', a, b],
  ] as const) {
    await migrate(name);
    const { status } = await ended(name, 'Succeeded');
    expect(status?.croft?.downtime).toBeLessThan(5_000);
    expect(await running()).toEqual([to.name]);
    await eventually(() => expect(from.guest()).toBeUndefined());
    expect((await instance())?.status).toMatchObject({ nodeName: to.name, migrationState: { completed: true } });
  }
});

for (const how of ['refused', 'lost', 'unanswered'] as const) {
  it(`goes on at the source when the switch is ${how}, and puts the record right`, { timeout: 120_000 }, async () => {
    trouble = async () => how;
    await migrate('troubled');
    await ended('troubled', 'Failed');
    expect(await running()).toEqual(['a']);
    expect((await instance())?.status).toMatchObject({ nodeName: 'a', migrationState: { failed: true } });
    await eventually(() => expect(b.guest()).toBeUndefined(), { timeout: 20_000 });
    trouble = undefined;
    await migrate('again');
    await ended('again', 'Succeeded');
    expect(await running()).toEqual(['b']);
  });
}

it('ends on one side though both services are started again on the way', { timeout: 120_000 }, async () => {
  await migrate('cut');
  await eventually(() => b.guest() !== undefined, { timeout: 30_000, interval: 5 });
  await Promise.all([a.restart(), b.restart()]);
  await eventually(async () => expect((await migration('cut'))?.status?.croft?.endedAt).toBeDefined(), { timeout: 60_000 });
  expect(await running()).toHaveLength(1);
});

it('waits for a place, goes where it is, and gives it back when it is cancelled before', { timeout: 120_000 }, async () => {
  const asked: string[][] = [];
  const cancelled: string[] = [];
  let place: { box: string } | { message: string } = { message: 'Kubernetes found no place for it: 0/2 nodes are available.' };
  a.context.placement = {
    ...soloPlacement,
    reserve: async (_instance, _vmId, _uid, boxes) => (asked.push([...boxes]), place),
    cancel: async (uid) => void cancelled.push(uid),
  };
  await migrate('waits');
  await eventually(async () => expect(JSON.stringify((await migration('waits'))?.status)).toContain('0/2 nodes'));
  const uid = (await migration('waits'))?.metadata.uid;
  await raw.delete(virtualMachineInstanceMigration, 'waits', namespace);
  await eventually(async () => expect(await migration('waits')).toBeUndefined());
  expect(cancelled).toEqual([uid]);
  expect(asked[0]).toEqual(['b']);
  expect((await instance())?.status?.migrationState).toBeUndefined();

  place = { box: 'b' };
  await migrate('goes');
  await ended('goes', 'Succeeded');
  expect(await running()).toEqual(['b']);
  expect(cancelled).toEqual([uid]);
});
