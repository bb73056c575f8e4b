/** Storage from wish to bytes: the real store, controllers and `local` driver; no QEMU guests. */
import { access, mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../../appliance/host/exec.ts';
import { silentLogger } from '../../../appliance/host/logger.ts';
import type { EventRecord } from '../../../appliance/reconcile/events.ts';
import { startInformer } from '../../../appliance/reconcile/informer.ts';
import type { Tasks } from '../../../appliance/reconcile/tasks.ts';
import { image, storagePool } from '../../../appliance/resources/croft-kinds.ts';
import { dataVolume, imageNamespace, persistentVolumeClaim } from '../../../appliance/resources/data-volume.ts';
import { editObject } from '../../../appliance/store/edit.ts';
import { openSqliteStore } from '../../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { startStorage, type StorageService } from '../../../storage/reconciler.ts';
import { eventually } from '../../helpers/eventually.ts';

const mib = 2 ** 20;

describe('storage controllers', () => {
  let root: string;
  let store: ResourceStore;
  let storage: StorageService;
  let stopAll: () => Promise<void>;
  let server: Server | undefined;
  let events: string[];

  /** Runs tasks without keeping them. */
  const tasks = {
    run: (_about, work) => work({ id: 't', signal: new AbortController().signal, progress: () => undefined }),
  } as Tasks;

  const start = async (): Promise<void> => {
    const informers = {
      storagePool: startInformer(store, storagePool),
      image: startInformer(store, image),
      dataVolume: startInformer(store, dataVolume),
      persistentVolumeClaim: startInformer(store, persistentVolumeClaim),
    };
    const record = (event: Omit<EventRecord, 'seq' | 'at'>): void => void events.push(event.reason);
    storage = await startStorage({
      store,
      informers,
      tasks,
      events: { record, list: () => [], subscribe: () => () => undefined },
      logger: silentLogger(),
      paths: { pools: join(root, 'pools') },
      config: { data: root, cache: join(root, 'cache') },
      allowOwnAddresses: true,
    });
    stopAll = async () => {
      await storage.stop();
      for (const informer of Object.values(informers)) await informer.stop();
    };
  };

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'croft-ctl-'));
    events = [];
    store = openSqliteStore({ path: join(root, 'store.db') });
    await store.create(storagePool, { metadata: { name: 'local' }, spec: { driver: 'local', reserve: 0 } });
    await start();
  });
  afterEach(async () => {
    await stopAll();
    await store.close();
    server?.close();
    server = undefined;
    await rm(root, { recursive: true, force: true });
  });

  const makeFile = async (size = 8 * mib): Promise<string> => {
    const file = join(root, 'source.qcow2');
    await run(['qemu-img', 'create', '-q', '-f', 'qcow2', file, String(size)]);
    await run(['qemu-io', '-c', 'write -P 3 0 1M', file]);
    return file;
  };
  const imageFrom = async (name: string, file: string) => {
    await store.create(image, { metadata: { name }, spec: { source: { file } } });
    return ready(name);
  };
  const ready = (name: string) =>
    eventually(async () => {
      const found = await store.get(image, name);
      expect(found?.status).toMatchObject({ phase: 'Ready' });
      return found;
    });
  const phaseOf = (name: string, phase: string) =>
    eventually(async () => {
      const found = await store.get(dataVolume, name, 'default');
      expect(found?.status?.phase).toBe(phase);
      return found;
    });
  const disk = (name: string, spec: object) => store.create(dataVolume, { metadata: { name, namespace: 'default' }, spec });
  const sourceRef = (name: string) => ({ kind: 'DataSource' as const, namespace: imageNamespace, name });
  const size = (storageSize: string) => ({ resources: { requests: { storage: storageSize } } });

  it('opens the pool and shows its usage', async () => {
    await eventually(async () => {
      const pool = await store.get(storagePool, 'local');
      expect(pool?.status?.conditions).toMatchObject([{ type: 'Ready', status: 'True' }]);
      expect(pool?.status?.capacity).toBeGreaterThan(0);
    });
    expect(storage.pool('local').name).toBe('local');
  });

  it('goes from a file to an image to a disk to nothing', async () => {
    await imageFrom('small', await makeFile());
    await disk('root', { sourceRef: sourceRef('small') });
    await phaseOf('root', 'Succeeded');
    expect(await storage.resolve('default', 'root')).toMatchObject({ size: 8 * mib });
    const claim = await store.get(persistentVolumeClaim, 'root', 'default');
    expect(claim?.status).toMatchObject({ phase: 'Bound', capacity: { storage: '8Mi' } });
    expect(claim?.metadata.ownerReferences).toMatchObject([{ kind: 'DataVolume', name: 'root' }]);

    await disk('copy', { source: { pvc: { name: 'root' } }, storage: size('16Mi') });
    await phaseOf('copy', 'Succeeded');
    expect(await storage.resolve('default', 'copy')).toMatchObject({ size: 16 * mib });

    await store.delete(image, 'small');
    for (const name of ['root', 'copy']) await store.delete(dataVolume, name, 'default');
    await eventually(async () => {
      expect((await store.list(persistentVolumeClaim)).items).toEqual([]);
      expect((await store.list(image)).items).toEqual([]);
      expect(await readdir(join(root, 'pools/local/volumes'))).toEqual([]);
      expect(await readdir(join(root, 'pools/local/images'))).toEqual([]);
    });
    expect(await readdir(join(root, 'image-work'))).toEqual([]);
    expect(events).toEqual(expect.arrayContaining(['ImageReady', 'DiskReady']));
  });

  it('waits for an image in words, and goes on when it is ready', async () => {
    await disk('early', { sourceRef: sourceRef('late') });
    await phaseOf('early', 'Pending');
    expect(await storage.resolve('default', 'early')).toMatchObject({ pending: expect.stringContaining('waits for image late') });
    await imageFrom('late', await makeFile());
    await phaseOf('early', 'Succeeded');
  });

  it('makes and grows a blank disk', async () => {
    await disk('data', { source: { blank: {} }, storage: size('16Mi') });
    await phaseOf('data', 'Succeeded');
    await editObject(store, persistentVolumeClaim, { name: 'data', namespace: 'default' }, (claim) => {
      claim.spec.resources = { requests: { storage: '32Mi' } };
    });
    await eventually(async () => expect(await storage.resolve('default', 'data')).toMatchObject({ size: 32 * mib }));
  });

  it('calls a vanished disk lost instead of making an empty one', async () => {
    await disk('data', { source: { blank: {} }, storage: size('16Mi') });
    await phaseOf('data', 'Succeeded');
    const volume = await storage.volumeOf('default', 'data');
    await volume?.driver.delete(volume.id);
    await editObject(store, persistentVolumeClaim, { name: 'data', namespace: 'default' }, (claim) => {
      claim.metadata.annotations = { touched: 'yes' };
    });
    await eventually(async () => {
      expect((await store.get(persistentVolumeClaim, 'data', 'default'))?.status?.phase).toBe('Lost');
    });
    expect(await storage.resolve('default', 'data')).toMatchObject({
      pending: expect.stringContaining('not in pool local any more'),
    });
    expect(await volume?.driver.list()).toEqual([]);
  });

  it('says with numbers what cannot be', async () => {
    await imageFrom('small', await makeFile());
    await disk('tight', { sourceRef: sourceRef('small'), storage: size('4Mi') });
    const failed = await phaseOf('tight', 'Failed');
    expect(JSON.stringify(failed?.status?.conditions)).toContain('4 MiB is smaller than image small, which has 8 MiB');
    expect(await storage.resolve('default', 'nothing')).toEqual({ pending: 'There is no disk nothing in project default.' });
  });

  it('fetches over HTTP, and fails for good on a wrong checksum until the wish changes', async () => {
    const file = await makeFile();
    const { readFile } = await import('node:fs/promises');
    const bytes = await readFile(file);
    server = createServer((_request, response) => response.end(bytes)).listen(0, '127.0.0.1');
    await new Promise((resolve) => server?.once('listening', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/image.qcow2`;
    await store.create(image, { metadata: { name: 'web' }, spec: { source: { url }, checksum: `sha256:${'0'.repeat(64)}` } });
    await eventually(async () => {
      const found = await store.get(image, 'web');
      expect(found?.status).toMatchObject({ phase: 'Failed', message: expect.stringContaining('expected was sha256:000') });
    });
    await editObject(store, image, { name: 'web' }, (found) => {
      found.spec = { source: { url } };
    });
    expect((await ready('web'))?.status?.virtualSize).toBe(8 * mib);
  });

  it('takes up again after a restart of the service', async () => {
    await imageFrom('small', await makeFile());
    await disk('root', { sourceRef: sourceRef('small') });
    await phaseOf('root', 'Succeeded');
    await stopAll();
    await store.delete(dataVolume, 'root', 'default');
    await start();
    await eventually(async () => {
      expect((await store.list(persistentVolumeClaim)).items).toEqual([]);
      await expect(access(join(root, 'pools/local/volumes'))).resolves.toBeUndefined();
      expect(await readdir(join(root, 'pools/local/volumes'))).toEqual([]);
    });
    expect((await store.get(image, 'small'))?.status?.phase).toBe('Ready');
  });
});
