/**
 * What Croft changed on its host outside its own directories (sysctls, a device's mode), with the value found before, so that
 * uninstalling puts the machine back as it was. Kept in `<data>/host-changes.json`; the first value found wins.
 */
import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { messageOf } from '../errors.ts';
import { run } from './exec.ts';
import { writeFileAtomic } from './files.ts';
import { giveNicAddresses, type NicAddresses } from './nic-addresses.ts';
import { bootId } from './process-info.ts';

/**
 * Keys are `sysctl:<dotted name>`, `mode:<path>`, `link:<device>:<mtu or state>` and `addresses:<device>`; values are what
 * stood there before (a mode in octal; addresses and routes as JSON).
 */
type Changes = Record<string, string>;

/** The last write of each file: whoever notes something reads what stands there, changes it and writes it back. */
const tails = new Map<string, Promise<unknown>>();

const sysctlPath = (name: string): string => `/proc/sys/${name.replaceAll('.', '/')}`;

async function putBack(key: string, before: string): Promise<void> {
  const subject = key.slice(key.indexOf(':') + 1);
  if (key.startsWith('mode:')) await chmod(subject, Number.parseInt(before, 8));
  else if (key.startsWith('addresses:')) await putAddressesBack(subject, before);
  else if (key.startsWith('link:')) {
    const [device = '', what] = subject.split(':');
    // A NIC that was taken out has nothing to be put back to.
    if (!existsSync(`/proc/sys/net/ipv4/conf/${device}`)) return;
    await run(['ip', 'link', 'set', 'dev', device, ...(what === 'mtu' ? ['mtu', before] : [before])]);
  } else if (!isOfGoneDevice(subject)) await writeFile(sysctlPath(subject), before);
}

async function putAddressesBack(device: string, before: string): Promise<void> {
  const note = JSON.parse(before) as NicAddresses & { bootId: string };
  // Since another boot the machine has set it up itself.
  if (note.bootId !== (await bootId()) || !existsSync(`/proc/sys/net/ipv4/conf/${device}`)) return;
  await giveNicAddresses(device, note);
}

/** IPv6 addresses can't be where IPv6 is still off. */
const addressesLast = (entries: [string, string][]): [string, string][] =>
  entries.toSorted(([a], [b]) => Number(a.startsWith('addresses:')) - Number(b.startsWith('addresses:')));

/** `net.ipv6.conf.eth0.…` of a NIC that was taken out has nothing to be put back to. */
const isOfGoneDevice = (sysctl: string): boolean => {
  const [device] = /^net\.ipv[46]\.conf\.[^.]+/.exec(sysctl) ?? [];
  return device !== undefined && !existsSync(sysctlPath(device));
};

export class HostChanges {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  async list(): Promise<Changes> {
    try {
      return JSON.parse(await readFile(this.#file, 'utf8')) as Changes;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
      throw error;
    }
  }

  /** Notes what stood there before a change; an earlier note stays. */
  record(key: string, before: string): Promise<void> {
    return this.#serially(async () => {
      const changes = await this.list();
      if (key in changes) return;
      await writeFileAtomic(this.#file, `${JSON.stringify({ ...changes, [key]: before }, undefined, 2)}\n`);
    });
  }

  /** Notes something in place of an earlier note. */
  replace(key: string, before: string): Promise<void> {
    return this.#serially(async () => {
      const changes = await this.list();
      if (changes[key] === before) return;
      await writeFileAtomic(this.#file, `${JSON.stringify({ ...changes, [key]: before }, undefined, 2)}\n`);
    });
  }

  #serially(work: () => Promise<void>): Promise<void> {
    const result = (tails.get(this.#file) ?? Promise.resolve()).then(work);
    const settled = result.catch(() => undefined); // The caller gets the failure; the queue only needs the order.
    tails.set(this.#file, settled);
    return result;
  }

  /** Sets a sysctl (`net.ipv4.ip_forward`), noting the value found. No-op where it stands already. */
  async setSysctl(name: string, value: string): Promise<void> {
    const before = (await readFile(sysctlPath(name), 'utf8')).trim();
    if (before === value) return;
    await this.record(`sysctl:${name}`, before);
    await writeFile(sysctlPath(name), value);
  }

  /** Adds permission bits to a file (a device node), noting the mode found. No-op where they are set already. */
  async addMode(path: string, bits: number): Promise<void> {
    const before = (await stat(path)).mode & 0o7777;
    if ((before & bits) === bits) return;
    await this.record(`mode:${path}`, before.toString(8));
    await chmod(path, before | bits);
  }

  /** Puts some back and forgets them. @throws CroftError, an error of the file system: when one cannot be put back */
  restore(which: (key: string) => boolean): Promise<void> {
    return this.#serially(async () => {
      const changes = await this.list();
      const gone = Object.entries(changes).filter(([key]) => which(key));
      if (gone.length === 0) return;
      for (const [key, before] of addressesLast(gone)) await putBack(key, before);
      const left = Object.fromEntries(Object.entries(changes).filter(([key]) => !which(key)));
      await writeFileAtomic(this.#file, `${JSON.stringify(left, undefined, 2)}\n`);
    });
  }

  /** Puts everything back and forgets it. @returns what could not be put back, in words */
  async restoreAll(): Promise<string[]> {
    const failed: string[] = [];
    for (const [key, before] of addressesLast(Object.entries(await this.list()))) {
      try {
        await putBack(key, before);
      } catch (error) {
        failed.push(`${key.slice(key.indexOf(':') + 1)} to ${before}: ${messageOf(error)}`);
      }
    }
    if (failed.length === 0) await rm(this.#file, { force: true });
    return failed;
  }
}
