/** What the installed QEMU is: version, newest machine type. Asked once; a QEMU that was updated meanwhile is seen at the next start. */
import { CroftError } from '../errors.ts';
import { run } from '../host/exec.ts';

export type QemuInfo = { version: string; machine: string };

/** @throws CroftError `missing-component`, `command-failed` */
export async function readQemuInfo(binary: string): Promise<QemuInfo> {
  const [version, machines] = await Promise.all([run([binary, '--version']), run([binary, '-machine', 'help'])]);
  return { version: parseVersion(version.stdout), machine: parseMachine(machines.stdout) };
}

/** `QEMU emulator version 7.2.22 (Debian …)` → `7.2.22` */
export const parseVersion = (output: string): string => /version (\d+(?:\.\d+)+)/.exec(output)?.[1] ?? 'unknown';

/** The versioned type that `q35` stands for, so that a guest's hardware doesn't change with QEMU's. */
export function parseMachine(output: string): string {
  const machine = /^q35\s.*\(alias of (pc-q35-[\d.]+)\)/m.exec(output)?.[1];
  if (!machine) throw new CroftError('command-failed', 'This QEMU offers no q35 machine; qemu-system-x86 is needed.');
  return machine;
}
