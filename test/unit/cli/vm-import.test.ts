/** `croft vm import` against the real API and storage: from an OVA to a VM's disks, and everything that may be wrong with it. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../../appliance/host/exec.ts';
import { tarEnd, tarHeader, tarPadding } from '../../../appliance/host/tar.ts';
import { writeOvf } from '../../../appliance/ovf/write.ts';
import { image, network } from '../../../appliance/resources/croft-kinds.ts';
import { dataVolume, persistentVolumeClaim } from '../../../appliance/resources/data-volume.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { editStatus } from '../../../appliance/store/edit.ts';
import { eventually } from '../../helpers/eventually.ts';
import { startStorageApi, type StorageApi } from '../../helpers/storage-api.ts';
import { runCli } from './run-cli.ts';

describe('croft vm import', () => {
  let root: string;
  let box: StorageApi;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'croft-ova-'));
    box = await startStorageApi(root);
    await box.store.create(network, { metadata: { name: 'prod' }, spec: { vlan: 20 } });
  });
  afterEach(async () => {
    await box.close();
    await rm(root, { recursive: true, force: true });
  });

  const croft = (...args: string[]) => runCli(args, { env: { CROFT_HOST: box.url, CROFT_TOKEN: box.secret } });

  async function disk(subformat: string): Promise<Buffer> {
    const [raw, file] = [join(root, 'raw.img'), join(root, `${subformat}.vmdk`)];
    await writeFile(raw, Buffer.concat([Buffer.from('boot me '.repeat(10_000)), Buffer.alloc(4 * 2 ** 20 - 80_000)]));
    await run(['qemu-img', 'convert', '-f', 'raw', '-O', 'vmdk', '-o', `subformat=${subformat}`, raw, file]);
    return readFile(file);
  }

  /** A package with two disks; `edit` spoils it. */
  async function parcel(edit: (files: Map<string, Buffer>) => void = () => undefined): Promise<Map<string, Buffer>> {
    const [first, second] = [await disk('streamOptimized'), await disk('monolithicSparse')];
    const capacity = 4 * 2 ** 20;
    const ovf = writeOvf({
      name: 'Old Server',
      cpus: 2,
      memory: 512 * 2 ** 20,
      firmware: 'efi',
      disks: [
        { file: 'a.vmdk', size: first.length, capacity },
        { file: 'b.vmdk', size: second.length, capacity },
      ],
      nics: [{ network: 'VM Network', mac: '00:50:56:00:00:01' }],
    });
    const files = new Map([
      ['old.ovf', Buffer.from(ovf)],
      ['a.vmdk', first],
      ['b.vmdk', second],
    ]);
    const lines = [...files].map(([name, body]) => `SHA256(${name})= ${createHash('sha256').update(body).digest('hex')}\n`);
    files.set('old.mf', Buffer.from(lines.join('')));
    edit(files);
    return files;
  }
  async function ova(files: Map<string, Buffer>): Promise<string> {
    const file = join(root, 'old.ova');
    const parts = [...files].flatMap(([name, body]) => [tarHeader(name, body.length, 1), body, tarPadding(body.length)]);
    await writeFile(file, Buffer.concat([...parts, tarEnd()]));
    return file;
  }
  /** What the VM controller does with a VM's templates; there is none here. */
  async function makeDisks(): Promise<void> {
    const vm = await box.store.get(virtualMachine, 'old-server', 'default');
    for (const { metadata, spec } of vm?.spec.dataVolumeTemplates ?? []) {
      await box.store.create(dataVolume, { metadata: { ...metadata, namespace: 'default' }, spec });
    }
    await editStatus(box.store, virtualMachine, { name: 'old-server', namespace: 'default' }, (draft) => {
      draft.status = { ...draft.status, printableStatus: 'Stopped' };
    });
  }

  it('reports first, changes nothing with --dry-run, then makes the VM and its disks', async () => {
    const file = await ova(await parcel());
    const network = ['--network', 'VM Network=prod'];
    const dry = await croft('vm', 'import', file, ...network, '--dry-run');
    expect(dry).toMatchObject({ code: 0, stdout: '' });
    expect(dry.stderr).toMatch(
      /VM old-server: 2 CPUs, 512 MiB, UEFI\n {2}disk root: a.vmdk 4 MiB\n {2}disk disk1: b.vmdk 4 MiB\n {2}NIC nic0: VM Network → prod\n/,
    );
    expect(dry.stderr).toMatch(/SATA disks and e1000e[^]*Nothing was changed/);
    expect((await box.store.list(image, {})).items).toEqual([]);

    const importing = croft('vm', 'import', file, ...network, '--timeout', '40s');
    await eventually(async () => expect(await box.store.get(virtualMachine, 'old-server', 'default')).toBeDefined(), {
      timeout: 20_000,
    });
    await makeDisks();
    expect(await importing).toMatchObject({ code: 0 });
    const vm = await box.store.get(virtualMachine, 'old-server', 'default');
    const { devices, firmware } = vm?.spec.template.spec.domain ?? { devices: {} };
    expect(devices.disks).toEqual([
      { name: 'root', disk: { bus: 'sata' }, bootOrder: 1 },
      { name: 'disk1', disk: { bus: 'sata' } },
    ]);
    expect(devices.interfaces).toEqual([{ name: 'nic0', bridge: {}, model: 'e1000e' }]);
    expect(firmware?.bootloader?.efi).toBeDefined();
    expect(vm?.spec.runStrategy).toBe('Halted');
    for (const claim of ['old-server-root', 'old-server-disk1']) {
      expect((await box.store.get(persistentVolumeClaim, claim, 'default'))?.status?.phase).toBe('Bound');
    }
    // The images were for these disks only.
    await eventually(async () => expect((await box.store.list(image, {})).items).toEqual([]));
    expect(await readdir(join(root, 'box/image-work'))).toEqual([]);

    expect((await croft('vm', 'switch-virtio', 'old-server')).code).toBe(0);
    const switched = (await box.store.get(virtualMachine, 'old-server', 'default'))?.spec.template.spec.domain.devices;
    expect(switched?.disks?.map((each) => each.disk?.bus)).toEqual(['virtio', 'virtio']);
    expect(switched?.interfaces?.[0]?.model).toBe('virtio');
    expect((await croft('vm', 'switch-virtio', 'old-server', '--back')).code).toBe(0);
    await editStatus(box.store, virtualMachine, { name: 'old-server', namespace: 'default' }, (draft) => {
      draft.status = { ...draft.status, printableStatus: 'Running' };
    });
    expect(await croft('vm', 'switch-virtio', 'old-server')).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('croft vm stop old-server'),
    });
  }, 90_000);

  it('takes a directory, and says again what was begun instead of failing', async () => {
    const directory = join(root, 'package');
    await mkdir(directory);
    for (const [name, body] of await parcel()) await writeFile(join(directory, name), body);
    const args = ['vm', 'import', directory, '--network', '*=prod', '--keep-mac', '--name', 'old-server', '--no-wait'];
    // The disks of a VM that nobody makes stay where they are: as after an interruption.
    const first = await croft(...args);
    expect(first.code).toBe(0);
    expect(await croft(...args)).toMatchObject({ code: 0 });
    const nic = (await box.store.get(virtualMachine, 'old-server', 'default'))?.spec.template.spec.domain.devices.interfaces?.[0];
    expect(nic?.macAddress).toBe('00:50:56:00:00:01');
  }, 60_000);

  it('refuses damaged packages, unmapped networks and taken names before it makes anything', async () => {
    const refused = async (files: Map<string, Buffer>, code: number, message: RegExp, ...more: string[]) => {
      const answer = await croft('vm', 'import', await ova(files), ...more);
      expect({ code: answer.code, stderr: answer.stderr }).toEqual({ code, stderr: expect.stringMatching(message) });
    };
    const mapped = ['--network', '*=prod'];
    await refused(
      await parcel((files) => files.set('a.vmdk', Buffer.from('other'))),
      2,
      /a.vmdk is damaged: its sha256/,
      ...mapped,
    );
    await refused(await parcel((files) => files.delete('b.vmdk')), 2, /b.vmdk is named by the descriptor but not in/, ...mapped);
    await refused(await parcel((files) => files.delete('old.ovf')), 2, /0 OVF descriptors/, ...mapped);
    await refused(await parcel((files) => files.set('old.ovf', Buffer.from('<x'))), 2, /XML is broken/, ...mapped);
    await refused(await parcel(), 2, /"VM Network" of the descriptor[^]*--network 'VM Network=prod'/);
    await refused(await parcel(), 2, /network/, '--network', '*=nowhere');
    expect((await croft('vm', 'import', join(root, 'raw.img'))).code).not.toBe(0);
    await box.store.create(virtualMachine, {
      metadata: { name: 'old-server', namespace: 'default' },
      spec: { template: { spec: { domain: { devices: {} } } } },
    });
    await refused(await parcel(), 5, /There is a VM old-server[^]*another name/, ...mapped);
    expect((await box.store.list(image, {})).items).toEqual([]);
  }, 60_000);

  it('refuses a disk that reaches for other files, and says so', async () => {
    const evil = join(root, 'evil.qcow2');
    await run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-u', '-b', '/etc/shadow', '-F', 'raw', evil, '4M']);
    const bytes = await readFile(evil);
    const files = await parcel((each) => {
      each.set('a.vmdk', bytes);
      each.delete('old.mf');
    });
    const answer = await croft('vm', 'import', await ova(files), '--network', '*=prod', '--timeout', '20s');
    expect(answer).toMatchObject({ code: 1, stderr: expect.stringContaining('The qcow2 image has a backing file.') });
  }, 60_000);
});
