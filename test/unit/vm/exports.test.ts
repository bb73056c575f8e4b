/** Exports: a VM's snapshot as OVA and qcow2, fetched over the API, read by QEMU's tools and imported again. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../../appliance/host/exec.ts';
import { idLabel } from '../../../appliance/resources/identity.ts';
import { dataVolume, persistentVolumeClaim } from '../../../appliance/resources/data-volume.ts';
import { image } from '../../../appliance/resources/croft-kinds.ts';
import { virtualMachineSnapshot, type SnapshotContent } from '../../../appliance/resources/snapshot.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { editStatus } from '../../../appliance/store/edit.ts';
import { draftVm } from '../../../ui-api/server/projections/vm-draft.ts';
import { rangeOf } from '../../../ui-api/server/routes/vm-export.ts';
import type { HostStep } from '../../../storage/driver.ts';
import { openPackage } from '../../../ui-api/cli/ova.ts';
import { readOvf } from '../../../appliance/ovf/read.ts';
import { runCli } from '../cli/run-cli.ts';
import { eventually } from '../../helpers/eventually.ts';
import { startStorageApi, type StorageApi } from '../../helpers/storage-api.ts';

const namespace = 'default';

describe('exports', () => {
  let root: string;
  let box: StorageApi;
  let source: string;
  let answering = true;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'croft-exp-'));
    box = await startStorageApi(root);
    source = join(root, 'source.raw');
    await writeFile(source, Buffer.concat([Buffer.from('boot me '.repeat(10_000)), Buffer.alloc(8 * 2 ** 20 - 80_000)]));
    await box.store.create(image, { metadata: { name: 'src' }, spec: { source: { file: source } } });
    const vm = await box.store.create(
      virtualMachine,
      draftVm(
        { name: 'web', image: 'src', cpus: 2, memory: '512Mi', firmware: 'efi', disks: [{ size: '4Mi' }], start: false },
        namespace,
      ),
    );
    for (const { metadata, spec } of vm.spec.dataVolumeTemplates ?? []) {
      await box.store.create(dataVolume, { metadata: { ...metadata, namespace }, spec });
    }
    await eventually(
      async () => {
        for (const name of ['web-root', 'web-disk1']) {
          expect((await box.store.get(persistentVolumeClaim, name, namespace))?.status?.phase).toBe('Bound');
        }
      },
      { timeout: 20_000 },
    );
    answering = true;
    void answerSnapshots();
  });
  afterEach(async () => {
    answering = false;
    await box.close();
    await rm(root, { recursive: true, force: true });
  });

  /** What the snapshot controller does with a stopped VM's disks; there is none here. */
  async function answerSnapshots(): Promise<void> {
    for await (const event of box.store.watch(virtualMachineSnapshot, {})) {
      if (!answering) return;
      const { object } = event as { object?: { metadata: { name: string; labels?: Record<string, string> }; status?: unknown } };
      if (!object || object.status) continue;
      const vm = await box.store.get(virtualMachine, 'web', namespace);
      if (!vm) continue;
      const snapshotId = object.metadata.labels?.[idLabel] ?? '';
      const disks: SnapshotContent['disks'] = [];
      for (const [name, claim] of [
        ['root', 'web-root'],
        ['disk1', 'web-disk1'],
      ] as const) {
        const found = await box.storage.resolve(namespace, claim);
        if ('pending' in found) throw new Error(found.pending);
        for (const step of await found.driver.snapshot(found.volumeId, snapshotId, undefined)) await (step as HostStep).run();
        disks.push({ name, claim, volumeId: found.volumeId, size: found.size, volumeSnapshotName: `s-${name}` });
      }
      const content = { vm: { labels: vm.metadata.labels ?? {}, spec: vm.spec }, disks, snapshotId };
      await editStatus(box.store, virtualMachineSnapshot, { name: object.metadata.name, namespace }, (draft) => {
        draft.status = { phase: 'Succeeded', readyToUse: true, croft: { content } };
      });
    }
  }

  const croft = (...args: string[]) => runCli(args, { env: { CROFT_HOST: box.url, CROFT_TOKEN: box.secret } });
  const call = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    fetch(`${box.url}${path}`, { method, headers: { authorization: `Bearer ${box.secret}`, ...headers } });

  it('is an OVA that says what the VM is, with disks that read the same; its snapshot and the export are gone', async () => {
    const file = join(root, 'web.ova');
    const { code, stderr } = await croft('vm', 'export', 'web', '--file', file);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/web.ova: /) });
    const parcel = await openPackage(file);
    expect(readOvf(parcel.descriptor)).toMatchObject({
      name: 'web',
      cpus: 2,
      memory: 512 * 2 ** 20,
      firmware: 'efi',
      disks: [
        { file: 'web-root.vmdk', capacity: 8 * 2 ** 20 },
        { file: 'web-disk1.vmdk', capacity: 4 * 2 ** 20 },
      ],
      nics: [{ network: 'default', mac: expect.stringMatching(/^52:54:00/) }],
    });
    expect([...parcel.manifest.keys()]).toEqual(['web.ovf', 'web-root.vmdk', 'web-disk1.vmdk']);
    await parcel.close();
    await run(['tar', '-xf', file, '-C', root]);
    await run([
      'sh',
      '-c',
      'cd "$1" && sed "s/SHA256(\\(.*\\))= \\(.*\\)/\\2  \\1/" web.mf | sha256sum -c --quiet -',
      'sh',
      root,
    ]);
    await run(['qemu-img', 'compare', '-f', 'raw', '-F', 'vmdk', source, join(root, 'web-root.vmdk')]);
    expect((await box.store.list(virtualMachineSnapshot, {})).items).toEqual([]);
    expect(await readdir(join(root, 'exports'))).toEqual([]);
    const [task] = box.box.tasks.list().filter(({ verb }) => verb === 'vm.export');
    expect(task).toMatchObject({ state: 'succeeded', by: 'token:t', progress: 1 });

    // And in again.
    const dry = await croft('vm', 'import', file, '--name', 'again', '--network', 'default=default', '--dry-run');
    expect(dry).toMatchObject({ code: 0, stderr: expect.stringContaining('VM again: 2 CPUs, 512 MiB, UEFI') });
  }, 60_000);

  it('is a disk as qcow2; what is fetched by ranges is what is fetched at once', async () => {
    const file = join(root, 'd.qcow2');
    expect((await croft('vm', 'export', 'web', '--format', 'qcow2', '--file', file, '--keep')).code).toBe(0);
    await run(['qemu-img', 'compare', '-f', 'raw', '-F', 'qcow2', source, file]);
    const { items } = (await (await call('/v1/exports')).json()) as { items: { id: string; size: number; file: string }[] };
    const { id, size } = items[0] as (typeof items)[number];
    const whole = await readFile(file);
    expect(whole.length).toBe(size);
    const middle = await call(`/v1/exports/${id}/data`, { range: 'bytes=1000-1999' });
    expect(middle.status).toBe(206);
    expect(middle.headers.get('content-range')).toBe(`bytes 1000-1999/${size}`);
    expect(Buffer.from(await middle.arrayBuffer())).toEqual(whole.subarray(1000, 2000));
    expect((await call(`/v1/exports/${id}/data`, { range: `bytes=${size}-` })).status).toBe(400);
    expect((await call(`/v1/exports/${id}`, {}, 'DELETE')).status).toBe(204);
    expect((await call(`/v1/exports/${id}/data`)).status).toBe(404);
    expect((await call('/v1/exports/..%2f..%2fetc/data')).status).toBe(404);
  }, 60_000);

  it('refuses what is not there, and leaves nothing of a failed one', async () => {
    expect((await croft('vm', 'export', 'nobody')).code).toBe(3);
    expect((await croft('vm', 'export', 'web', '--snapshot', 'nothing')).code).toBe(3);
    expect((await croft('vm', 'export', 'web', '--disk', 'root')).code).toBe(2);
    expect((await croft('vm', 'export', 'web', '--file', source)).code).toBe(2);
    const wrong = await croft('vm', 'export', 'web', '--format', 'qcow2', '--disk', 'disk9');
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('web has no disk disk9; it has root, disk1') });
    expect(await readdir(join(root, 'exports'))).toEqual([]);
    expect((await box.store.list(virtualMachineSnapshot, {})).items).toEqual([]);
    expect(existsSync('web-disk9.qcow2')).toBe(false);
  }, 60_000);

  it('reads ranges as RFC 9110 has them', () => {
    expect(rangeOf(undefined, 10)).toBeUndefined();
    expect(rangeOf('bytes=2-', 10)).toEqual([2, 10]);
    expect(rangeOf('bytes=2-99', 10)).toEqual([2, 10]);
    expect(rangeOf('lines=1-2', 10)).toBeUndefined();
    expect(() => rangeOf('bytes=10-', 10)).toThrow(/beyond the 10 bytes/);
  });
});
