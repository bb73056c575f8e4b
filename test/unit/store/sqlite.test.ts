import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { secret } from '../../../appliance/resources/core-kinds.ts';
import { network } from '../../../appliance/resources/croft-kinds.ts';
import { dataVolume } from '../../../appliance/resources/data-volume.ts';
import { ownerReferenceTo } from '../../../appliance/resources/meta.ts';
import { openSqliteStore } from '../../../appliance/store/sqlite.ts';
import { describeStoreContract } from '../../contract/store.ts';
import { collect, refusal } from '../../contract/store-tools.ts';
import { eventually } from '../../helpers/eventually.ts';

describeStoreContract('sqlite', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'croft-store-'));
  const path = join(directory, 'store.db');
  const opened = {
    store: openSqliteStore({ path }),
    reopen: async () => {
      await opened.store.close();
      opened.store = openSqliteStore({ path });
      return opened.store;
    },
    close: async () => {
      await opened.store.close();
      rmSync(directory, { recursive: true });
    },
  };
  return opened;
});

describe('sqlite store', () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'croft-store-'));
    path = join(directory, 'store.db');
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const namespace = 'default';
  const spec = { source: { blank: {} } };

  it('keeps Secrets unreadable in every file but the key’s', async () => {
    const store = openSqliteStore({ path });
    const password = Buffer.from('correct horse battery staple').toString('base64');
    await store.create(secret, { metadata: { name: 's', namespace }, spec: { data: { password } } });
    await store.delete(secret, 's', namespace);
    await store.create(secret, { metadata: { name: 's', namespace }, spec: { data: { password } } });
    for (const file of readdirSync(directory).filter((name) => name.startsWith('store.db'))) {
      expect(readFileSync(join(directory, file)).includes(password)).toBe(false);
      expect(statSync(join(directory, file)).mode & 0o077).toBe(0);
    }
    expect(statSync(join(directory, 'keys', 'store.key')).mode & 0o777).toBe(0o400);
    const seen = collect((signal) => store.watch(secret, { resourceVersion: '0', signal }));
    await eventually(() => expect(seen.told()).toEqual(['ADDED s', 'DELETED s', 'ADDED s']));
    expect(seen.events[0]?.object.spec.data).toEqual({ password });
    await seen.stop();
    await store.close();
  });

  it('will not open with the key lost or exchanged, and says which file to restore', async () => {
    const store = openSqliteStore({ path });
    await store.create(secret, { metadata: { name: 's', namespace }, spec: { data: {} } });
    await store.close();
    const key = join(directory, 'keys', 'store.key');
    const right = readFileSync(key);
    rmSync(key);
    expect(() => openSqliteStore({ path })).toThrow(/store\.key is missing/);
    writeFileSync(key, Buffer.alloc(32));
    expect(() => openSqliteStore({ path })).toThrow(/is not the key/);
    writeFileSync(key, 'short');
    expect(() => openSqliteStore({ path })).toThrow(/has 5 bytes/);
    writeFileSync(key, right);
    await openSqliteStore({ path }).close();
  });

  it('answers expired for versions that left the log, and for versions not given yet', async () => {
    const store = openSqliteStore({ path, changeLogLimit: 16 });
    const { resourceVersion } = await store.list(dataVolume);
    for (let index = 0; index < 40; index++) await store.create(dataVolume, { metadata: { name: `v${index}`, namespace }, spec });
    const page = await store.list(dataVolume, { limit: 1 });
    for (const version of [resourceVersion, '999999']) {
      await refusal('expired', collect((signal) => store.watch(dataVolume, { resourceVersion: version, signal })).ended);
    }
    for (let index = 0; index < 40; index++) await store.delete(dataVolume, `v${index}`, namespace);
    await refusal('expired', store.list(dataVolume, { limit: 1, continue: page.continue }));
    await refusal('invalid-input', collect((signal) => store.watch(dataVolume, { resourceVersion: 'x', signal })).ended);
    await store.close();
  });

  it('lets a watcher of a quiet kind live through any number of other changes', async () => {
    const store = openSqliteStore({ path, changeLogLimit: 8 });
    const seen = collect((signal) => store.watch(network, { signal }));
    await eventually(() => store.list(network).then(() => true));
    for (let index = 0; index < 50; index++) await store.create(dataVolume, { metadata: { name: `v${index}`, namespace }, spec });
    await store.create(network, { metadata: { name: 'n' }, spec: {} });
    await eventually(() => expect(seen.told()).toEqual(['ADDED n']));
    await seen.stop();
    await store.close();
  });

  it('ends a watcher that is too slow with expired', async () => {
    const store = openSqliteStore({ path, changeLogLimit: 8 });
    const slow = store.watch(dataVolume)[Symbol.asyncIterator]();
    await store.create(dataVolume, { metadata: { name: 'first', namespace }, spec });
    expect((await slow.next()).value?.object.metadata.name).toBe('first');
    for (let index = 0; index < 150; index++)
      await store.create(dataVolume, { metadata: { name: `v${index}`, namespace }, spec });
    await refusal('expired', slow.next());
    await store.close();
  });

  it('refuses a second opener by naming the first', async () => {
    const store = openSqliteStore({ path });
    expect(() => openSqliteStore({ path })).toThrow(new RegExp(`open in another process \\(pid ${process.pid}\\)`));
    await store.create(dataVolume, { metadata: { name: 'still', namespace }, spec });
    await store.close();
    await openSqliteStore({ path }).close();
  });

  it('refuses a store of a newer Croft', async () => {
    await openSqliteStore({ path }).close();
    const raw = new DatabaseSync(path);
    raw.exec('PRAGMA user_version = 99');
    raw.close();
    expect(() => openSqliteStore({ path })).toThrow(/newer/);
  });

  it('collects at opening what lost its owner while it was closed, and at creation what never had one', async () => {
    const store = openSqliteStore({ path });
    const owner = await store.create(dataVolume, { metadata: { name: 'owner', namespace }, spec });
    await store.create(dataVolume, { metadata: { name: 'owned', namespace, ownerReferences: [ownerReferenceTo(owner)] }, spec });
    await store.delete(dataVolume, 'owner', namespace);
    // Closed before the collector's turn: as if killed between the two.
    await store.close();
    const again = openSqliteStore({ path });
    expect(await again.get(dataVolume, 'owned', namespace)).toBeDefined();
    await eventually(async () => expect(await again.get(dataVolume, 'owned', namespace)).toBeUndefined());
    await again.create(dataVolume, { metadata: { name: 'late', namespace, ownerReferences: [ownerReferenceTo(owner)] }, spec });
    await eventually(async () => expect(await again.get(dataVolume, 'late', namespace)).toBeUndefined());
    await again.close();
  });

  it('refuses what no etcd would take', async () => {
    const store = openSqliteStore({ path });
    const data = { big: Buffer.alloc(1_300_000).toString('base64') };
    await refusal('too-large', store.create(secret, { metadata: { name: 's', namespace }, spec: { data } }));
    expect(await store.get(secret, 's', namespace)).toBeUndefined();
    await store.close();
    await refusal('unavailable', store.get(secret, 's', namespace));
  });
});
