/**
 * An installation as a list of steps: pure, from the answers and what was observed. The order is the promise that a
 * power cut leaves either a disk that no firmware starts (so the medium starts again and installs anew) or a
 * finished system: what makes the disk bootable comes last, under UEFI as under BIOS.
 */
import type { Answers } from './answers.ts';
import type { Disk } from './disks.ts';
import { systemConfig } from './grub-config.ts';
import { networkFiles } from './network-answers.ts';
import { type PartitionIds, partitionPath, repartDefinitions } from './layout.ts';
import { chooseDisk } from './preflight.ts';
import type { Release } from './release.ts';
import { freshState, toEnvironment } from './slots.ts';

export type Step =
  | { kind: 'write-unfinished-mark'; disk: string }
  | { kind: 'make-environment'; image: string; variables: Record<string, string> }
  | { kind: 'write-files'; directory: string; files: Record<string, string> }
  | { kind: 'copy-file'; from: string; to: string }
  | { kind: 'partition'; disk: string; definitions: string }
  | { kind: 'write-slot'; partition: string; medium: string }
  | { kind: 'verify-slot'; partition: string }
  | { kind: 'fill-state'; partition: string; files: Record<string, string> }
  | { kind: 'embed-core'; partition: string; disk: string; core: string }
  | { kind: 'finish-esp'; partition: string; loader: string }
  | { kind: 'finish-bios'; disk: string; bootImage: string; partition: string }
  | { kind: 'end'; how: 'reboot' | 'power-off' };

export type Surroundings = {
  disks: readonly Disk[];
  release: Release;
  /** Where the medium is mounted. */
  medium: string;
  /** boot.img, core.img, shimx64.efi, grubx64.efi. */
  loaders: string;
  /** A directory in memory for what is prepared. */
  scratch: string;
  /** Fresh random ids: of the partitions, and of the machine (32 hex digits). */
  ids: PartitionIds;
  machineId: string;
};

/** What each step is called on the screen. */
export const stepTitle: Record<Step['kind'], string> = {
  'write-unfinished-mark': 'Marking the disk as unfinished',
  'make-environment': 'Preparing the boot environment',
  'write-files': 'Preparing the configuration',
  'copy-file': 'Preparing the boot loader',
  partition: 'Partitioning',
  'write-slot': 'Writing the system',
  'verify-slot': 'Reading the system back',
  'fill-state': 'Writing the box’s own settings',
  'embed-core': 'Boot loader for BIOS',
  'finish-esp': 'Boot loader for UEFI',
  'finish-bios': 'Making the disk bootable',
  end: 'Done',
};

/** Taken, and removed, by the API's first start (ui-api/auth/setup-links.ts). */
const firstAdministrator = ({ administrator }: Answers): Record<string, string> =>
  administrator === undefined
    ? {}
    : {
        'api/first-administrator.json': `${JSON.stringify({ user: administrator.name ?? 'admin', password: administrator.password })}\n`,
      };

const ownNetwork = ({ network }: Answers): Record<string, string> =>
  network === undefined
    ? {}
    : Object.fromEntries(Object.entries(networkFiles(network)).map(([name, text]) => [`network/${name}`, text]));

/** @throws CroftError `invalid-state` when no disk can be used (chooseDisk) */
export function planInstallation(answers: Answers, around: Surroundings): Step[] {
  const { release, scratch, loaders, medium, ids, machineId } = around;
  const disk = chooseDisk(answers, around.disks, release).path;
  const esp = `${scratch}/esp`;
  const envImage = `${scratch}/env.img`;
  const definitions = `${scratch}/repart.d`;
  const grub = systemConfig({
    partitions: { env: ids.env, A: ids.A, B: ids.B, state: ids.state },
    identity: { hostname: answers.hostname, machineId },
  });
  return [
    { kind: 'make-environment', image: envImage, variables: toEnvironment(freshState()) },
    { kind: 'write-files', directory: esp, files: { 'EFI/debian/grub.cfg': grub } },
    { kind: 'copy-file', from: `${loaders}/grubx64.efi`, to: `${esp}/EFI/BOOT/grubx64.efi` },
    { kind: 'write-files', directory: definitions, files: repartDefinitions(release, ids, { espTree: esp, envImage }) },
    { kind: 'write-unfinished-mark', disk },
    { kind: 'partition', disk, definitions },
    { kind: 'write-slot', partition: partitionPath(disk, 'A'), medium },
    { kind: 'verify-slot', partition: partitionPath(disk, 'A') },
    {
      kind: 'fill-state',
      partition: partitionPath(disk, 'state'),
      files: {
        'box/installed.json': `${JSON.stringify({ hostname: answers.hostname, version: release.version, machineId })}\n`,
        ...firstAdministrator(answers),
        ...ownNetwork(answers),
      },
    },
    { kind: 'embed-core', partition: partitionPath(disk, 'bios'), disk, core: `${loaders}/core.img` },
    { kind: 'finish-esp', partition: partitionPath(disk, 'esp'), loader: `${loaders}/shimx64.efi` },
    { kind: 'finish-bios', disk, bootImage: `${loaders}/boot.img`, partition: partitionPath(disk, 'bios') },
    { kind: 'end', how: answers.finish ?? 'reboot' },
  ];
}
