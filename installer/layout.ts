/** The system disk's partitions, as definitions for systemd-repart (repart.d(5)). */
import { partitionNumber } from './grub-config.ts';
import type { Release } from './release.ts';

const mebibyte = 1024 * 1024;
const types = {
  bios: '21686148-6449-6e6f-744e-656564454649',
  esp: 'esp',
  generic: 'linux-generic',
} as const;

export type PartitionName = keyof typeof partitionNumber;
export type PartitionIds = Record<PartitionName, string>;

export const partitionLabel = (name: PartitionName): string => `croft-${name.toLowerCase()}`;

/** The device node of a partition: NVMe and others whose names end in a digit put a p between. */
export const partitionPath = (disk: string, name: PartitionName): string =>
  `${disk}${/\d$/.test(disk) ? 'p' : ''}${partitionNumber[name]}`;

/** File name → text of each definition; the names' order is the partitions' order. `espTree` and `envImage` are paths. */
export function repartDefinitions(
  release: Pick<Release, 'slotSize'>,
  ids: PartitionIds,
  { espTree, envImage }: { espTree: string; envImage: string },
): Record<string, string> {
  const fixed = (size: number) => [`SizeMinBytes=${size}`, `SizeMaxBytes=${size}`];
  const lines: Record<PartitionName, string[]> = {
    bios: [`Type=${types.bios}`, ...fixed(mebibyte)],
    esp: [`Type=${types.esp}`, 'Format=vfat', `CopyFiles=${espTree}:/`, ...fixed(64 * mebibyte)],
    env: [`Type=${types.generic}`, `CopyBlocks=${envImage}`, ...fixed(mebibyte)],
    A: [`Type=${types.generic}`, ...fixed(release.slotSize)],
    B: [`Type=${types.generic}`, ...fixed(release.slotSize)],
    state: [`Type=${types.generic}`, 'Format=ext4', `SizeMinBytes=${512 * mebibyte}`],
  };
  return Object.fromEntries(
    (Object.keys(lines) as PartitionName[]).map((name) => [
      `${partitionNumber[name]}0-${name.toLowerCase()}.conf`,
      `${['[Partition]', `Label=${partitionLabel(name)}`, `UUID=${ids[name]}`, ...lines[name]].join('\n')}\n`,
    ]),
  );
}
