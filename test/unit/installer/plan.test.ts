import { expect, test } from 'vitest';
import type { Disk } from '../../../installer/disks.ts';
import { parseLsblk } from '../../../installer/disks.ts';
import { planInstallation, type Surroundings } from '../../../installer/plan.ts';
import { checkMachine, chooseDisk } from '../../../installer/preflight.ts';
import type { Release } from '../../../installer/release.ts';

const gib = 2 ** 30;
const release: Release = {
  name: 'croft',
  version: '1.0.0',
  variant: 'full',
  epoch: 0,
  slotSize: 2 * gib,
  minimumDisk: 20 * gib,
  minimumMemory: 4 * gib,
};
const disk = (changes: Partial<Disk> = {}): Disk => ({
  path: '/dev/sda',
  serial: 'S1',
  model: 'Disk',
  size: 40 * gib,
  readOnly: false,
  removable: false,
  inUse: false,
  content: [],
  unfinished: false,
  ...changes,
});
const full = disk({ content: ['a partition table (gpt)', 'sda1: ntfs'] });

test('auto takes the only blank disk that is large enough', () => {
  const disks = [disk({ path: '/dev/sdb', size: gib }), full, disk({ path: '/dev/sdc', serial: 'S3' })];
  expect(chooseDisk({ systemDisk: 'auto' }, disks, release).path).toBe('/dev/sdc');
});

test('a disk with data is refused, with the way to name it, and taken when named', () => {
  expect(() => chooseDisk({ systemDisk: 'auto' }, [full], release)).toThrow(
    '/dev/sda (serial S1) is not empty: a partition table (gpt), sda1: ntfs. To erase it, name it in the answers: systemDisk: {serial: S1}.',
  );
  expect(chooseDisk({ systemDisk: { serial: 'S1' } }, [full], release)).toBe(full);
});

test('an unfinished installation is begun anew', () => {
  const begun = { ...full, unfinished: true };
  expect(chooseDisk({ systemDisk: 'auto' }, [begun], release)).toBe(begun);
});

test.each([
  [[], 'auto', /The machine has no disk/],
  [[disk({ size: gib })], 'auto', /has 1\.0 GiB; the system disk needs 20\.0 GiB/],
  [[disk({ inUse: true })], { serial: 'S1' }, /in use/],
  [[disk({ readOnly: true })], { serial: 'S1' }, /read-only/],
  [[disk()], { serial: 'S9' }, /no disk has the serial number "S9"; disks: \/dev\/sda S1/],
  [[disk(), disk({ path: '/dev/sdb' })], { serial: 'S1' }, /2 disks have the serial number/],
  [[disk(), disk({ path: '/dev/sdb' })], 'auto', /2 blank disks fit/],
] as const)('%o with %o is refused', (disks, systemDisk, message) => {
  expect(() => chooseDisk({ systemDisk }, disks, release)).toThrow(message);
});

test('too little memory blocks, missing virtualization is only told', () => {
  expect(checkMachine({ memory: 3 * gib, virtualization: true }, release)).toMatchObject([{ blocks: true }]);
  expect(checkMachine({ memory: 3.8 * gib, virtualization: false }, release)).toMatchObject([{ blocks: false }]);
});

test('what makes the disk bootable comes last, after the system was read back', () => {
  const around: Surroundings = {
    disks: [disk({ path: '/dev/nvme0n1' })],
    release,
    medium: '/m',
    loaders: '/l',
    scratch: '/s',
    ids: { bios: '1', esp: '2', env: '3', A: 'aaaa', B: 'bbbb', state: 'ssss' },
    machineId: 'f'.repeat(32),
  };
  const steps = planInstallation({ version: 1, hostname: 'box1', systemDisk: 'auto' }, around);
  const kinds = steps.map(({ kind }) => kind);
  expect(kinds.slice(-3)).toEqual(['finish-esp', 'finish-bios', 'end']);
  expect(kinds.indexOf('verify-slot')).toBe(kinds.indexOf('write-slot') + 1);
  expect(kinds.indexOf('write-unfinished-mark')).toBeLessThan(kinds.indexOf('partition'));
  expect(steps.find(({ kind }) => kind === 'write-slot')).toMatchObject({ partition: '/dev/nvme0n1p4' });
  const grub = steps.flatMap((step) => (step.kind === 'write-files' ? Object.entries(step.files) : []));
  expect(Object.fromEntries(grub)['EFI/debian/grub.cfg']).toContain('set media_A=aaaa');
});

test('lsblk’s words become disks; a CD is none', () => {
  const block = {
    serial: null,
    model: null,
    ro: false,
    rm: false,
    fstype: null,
    pttype: null,
    partlabel: null,
    mountpoints: [null],
  };
  const text = JSON.stringify({
    blockdevices: [
      {
        ...block,
        path: '/dev/vda',
        type: 'disk',
        serial: 'X1 ',
        size: 5,
        pttype: 'gpt',
        children: [
          { ...block, path: '/dev/vda1', type: 'part', size: 1, fstype: 'vfat', partlabel: 'esp', mountpoints: ['/boot'] },
        ],
      },
      { ...block, path: '/dev/sr0', type: 'rom', size: 9 },
      { ...block, path: '/dev/vdb', type: 'disk', size: 0 },
    ],
  });
  expect(parseLsblk(text)).toEqual([
    {
      path: '/dev/vda',
      serial: 'X1',
      model: '',
      size: 5,
      readOnly: false,
      removable: false,
      inUse: true,
      content: ['a partition table (gpt)', 'vda1: vfat "esp"'],
    },
  ]);
});
