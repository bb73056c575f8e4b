/**
 * Which accelerator guests run with. That /dev/kvm can be opened says little: under some clouds' nested
 * virtualisation SeaBIOS starts and any kernel then hangs for ever, and QEMU doesn't fall back. So a boot sector
 * must prove itself under KVM (long mode, paging, ring 3 and back, timer interrupts: what those hosts get
 * wrong) within a deadline, else guests are emulated. The verdict is kept per kernel and QEMU version.
 */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { isCroftError, messageOf } from '../errors.ts';
import { run } from '../host/exec.ts';
import { writeFileAtomic } from '../host/files.ts';
import type { Logger } from '../host/logger.ts';
import { probeDisk } from './probe-image.ts';

export type Accelerator = { name: 'kvm' | 'tcg'; reason: string };

export type ProbeOptions = {
  binary: string;
  qemuVersion: string;
  dataDir: string;
  logger: Logger /** The KVM device; default /dev/kvm */;
  device?: string;
};

const deadline = 8_000;
const proof = 'croft-probe: long mode runs';
/** isa-debug-exit ends QEMU with (value << 1) | 1; the probe writes 0x10. */
const proofExitCode = 33;

/** The accelerator to use, probed or remembered. Never fails: what goes wrong with KVM is the reason for TCG. */
export async function chooseAccelerator(options: ProbeOptions): Promise<Accelerator> {
  const { device = '/dev/kvm', logger } = options;
  const refused = await whyNotOpen(device);
  if (refused) return { name: 'tcg', reason: refused };
  const key = `${release()} qemu ${options.qemuVersion}`;
  const file = join(options.dataDir, 'accelerator.json');
  const known = await remembered(file, key);
  if (known) return known;
  const verdict = await probeKvm(options.binary);
  await writeFileAtomic(file, `${JSON.stringify({ key, ...verdict })}\n`).catch((error: unknown) =>
    logger.warn({ error: messageOf(error) }, 'the verdict on KVM cannot be kept; the next start probes again'),
  );
  return verdict;
}

async function whyNotOpen(device: string): Promise<string | undefined> {
  const found = await stat(device).catch(() => undefined);
  if (!found) return `there is no ${device}`;
  // As root guests run under uids of their own, which get the device's group.
  const forGuests = (found.mode & 0o060) === 0o060 || (found.mode & 0o006) === 0o006;
  if (process.getuid?.() === 0 && !forGuests) {
    return `${device} is open to root only (mode ${(found.mode & 0o777).toString(8)}); guests run unprivileged`;
  }
  return undefined;
}

async function remembered(file: string, key: string): Promise<Accelerator | undefined> {
  try {
    const { key: of, name, reason } = JSON.parse(await readFile(file, 'utf8')) as Accelerator & { key: string };
    return of === key && (name === 'kvm' || name === 'tcg') ? { name, reason } : undefined;
  } catch {
    return undefined; // Never probed.
  }
}

/** Boots the probe's disk under an accelerator. */
export async function probeKvm(binary: string, accelerator: 'kvm' | 'tcg' = 'kvm', timeout = deadline): Promise<Accelerator> {
  const directory = await mkdtemp(join(tmpdir(), 'croft-probe-'));
  try {
    const disk = join(directory, 'disk');
    await writeFile(disk, probeDisk());
    const { stdout } = await run(probeArgv(binary, accelerator, disk), { timeout, okCodes: [proofExitCode] });
    const booted = stdout.includes(proof);
    return booted
      ? { name: accelerator, reason: `a test kernel ran under ${accelerator}` }
      : { name: 'tcg', reason: 'a test kernel crashed under KVM' };
  } catch (error) {
    const hung = isCroftError(error, 'command-timeout');
    return {
      name: 'tcg',
      reason: hung ? `/dev/kvm is there but a test kernel did not run within ${timeout / 1000} s` : messageOf(error),
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const option = (...words: string[]): string[] => words;

const probeArgv = (binary: string, accelerator: string, disk: string): [string, ...string[]] => [
  binary,
  ...option(
    '-machine',
    'q35',
    '-accel',
    accelerator,
    '-m',
    '64',
    '-nodefaults',
    '-no-user-config',
    '-display',
    'none',
    '-no-reboot',
  ),
  ...option('-drive', `file=${disk.replaceAll(',', ',,')},format=raw,if=ide,readonly=off`),
  ...option('-serial', 'stdio', '-device', 'isa-debug-exit,iobase=0xf4,iosize=0x01'),
];
