/**
 * What stands in the way of an installation: pure, from what was observed, so that each finding is tested. A finding
 * is a sentence for a person; `blocks` says whether the installation must not go on.
 */
import { CroftError } from '../appliance/errors.ts';
import type { Answers } from './answers.ts';
import type { Disk } from './disks.ts';
import type { Release } from './release.ts';

export type Finding = { blocks: boolean; text: string };
export type Machine = {
  /** Bytes. */
  memory: number;
  /** The processor runs guests in hardware (/dev/kvm is there). */
  virtualization: boolean;
};

export const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
/** Firmware keeps some memory for itself: that much less (share) than asked for is still taken. */
const memoryTolerance = 0.1;

export function checkMachine(machine: Machine, release: Release): Finding[] {
  const findings: Finding[] = [];
  if (machine.memory < release.minimumMemory * (1 - memoryTolerance)) {
    const text = `The machine has ${gibibytes(machine.memory)} of memory; Croft needs ${gibibytes(release.minimumMemory)}.`;
    findings.push({ blocks: true, text });
  }
  if (!machine.virtualization) {
    findings.push({
      blocks: false,
      text: 'The processor offers no virtualization (or the firmware has it turned off): guests will be emulated, and slow.',
    });
  }
  return findings;
}

/** Why this disk cannot become the system disk; undefined when it can. */
export function refuseDisk(disk: Disk, release: Release, named: boolean): string | undefined {
  const name = `${disk.path}${disk.serial ? ` (serial ${disk.serial})` : ''}`;
  if (disk.readOnly) return `${name} is read-only.`;
  if (disk.inUse) return `${name} is in use: this system runs from it, or has mounted it.`;
  if (disk.size < release.minimumDisk) {
    return `${name} has ${gibibytes(disk.size)}; the system disk needs ${gibibytes(release.minimumDisk)}.`;
  }
  if (!named && disk.content.length > 0 && !disk.unfinished) {
    const how = disk.serial ? `systemDisk: {serial: ${disk.serial}}` : 'its serial number, which this disk does not have';
    return `${name} is not empty: ${disk.content.join(', ')}. To erase it, name it in the answers: ${how}.`;
  }
  return undefined;
}

/**
 * The system disk the answers mean.
 * @throws CroftError `invalid-state` saying of each disk why it is not the one
 */
export function chooseDisk(answers: Pick<Answers, 'systemDisk'>, disks: readonly Disk[], release: Release): Disk {
  const { systemDisk } = answers;
  const candidates =
    systemDisk === 'auto'
      ? disks.filter(({ removable }) => !removable)
      : disks.filter(({ serial }) => serial === systemDisk.serial);
  if (systemDisk !== 'auto' && candidates.length !== 1) {
    const seen = disks.map(({ path, serial }) => `${path} ${serial || 'without serial number'}`).join(', ') || 'none';
    const found = candidates.length === 0 ? 'no disk has' : `${candidates.length} disks have`;
    throw new CroftError(
      'invalid-state',
      `systemDisk: ${found} the serial number ${JSON.stringify(systemDisk.serial)}; disks: ${seen}.`,
    );
  }
  const refusals = candidates.map((disk) => refuseDisk(disk, release, systemDisk !== 'auto'));
  const usable = candidates.filter((_, index) => refusals[index] === undefined);
  const [disk] = usable;
  if (disk && usable.length === 1) return disk;
  if (usable.length > 1) {
    const names = usable.map(({ path, serial }) => `${path} ${serial || 'without serial number'}`).join(', ');
    throw new CroftError(
      'invalid-state',
      `systemDisk: auto, but ${usable.length} blank disks fit (${names}): name one by its serial number.`,
    );
  }
  throw new CroftError('invalid-state', `systemDisk: no disk can be used. ${refusals.join(' ') || 'The machine has no disk.'}`);
}
