/**
 * The hypervisor over real QEMUs. Theory of operation:
 *
 * A guest is one QEMU process that outlives the service. `<run>/vms/<id>/` (run-dir.ts) holds what is needed to
 * find it again. *launch*: directory, argv (argv.ts, pure), a held process, launch.json, go (process.ts); then
 * the monitor is greeted (qmp.ts), the serial console connected (serial-hub.ts), and the vCPUs, stopped until
 * now, run. *guest.ts* is the running guest: state by query-status at events, hot-plug (hot-plug.ts), the agent
 * (agent.ts), the end. *adopt* (adopt.ts) trusts /proc (pid, start time, `-uuid`, boot id), launch.json and
 * QMP, and nothing remembered. QEMU powers nothing off by itself (`-action shutdown=pause`): a guest's end is
 * read, noted in exit.json, and only then is QEMU told to quit; a process that is gone without has crashed.
 *
 * A guest may be hostile and its QEMU with it: it runs under a uid of its own with seccomp, can write nothing
 * but its sockets and disks, and what comes from it is bounded and has deadlines.
 */
import { rm, stat, truncate } from 'node:fs/promises';
import { CroftError } from '../errors.ts';
import type { Logger } from '../host/logger.ts';
import { isAlive } from '../host/process-info.ts';
import type { Adoption, Guest, GuestSpec, Hypervisor } from '../vm/hypervisor.ts';
import { adoptGuests, findQemus } from './adopt.ts';
import { Cgroups, memoryLimitOf } from './cgroup.ts';
import { buildArgv } from './argv.ts';
import { prepareEfi } from './firmware.ts';
import { QemuGuest } from './guest.ts';
import { chooseAccelerator, type Accelerator } from './probe.ts';
import { holdProcess, killForSure, lastWords } from './process.ts';
import { readQemuInfo, type QemuInfo } from './qemu-info.ts';
import {
  checkSocketPaths,
  makeRunDir,
  readLaunchRecord,
  runDirOf,
  writeLaunchRecord,
  type LaunchRecord,
  type RunDir,
} from './run-dir.ts';

export type QemuHypervisorOptions = {
  /** Directory of the guests' run directories (config's `vms`), passable for the guests' uids. */
  vms: string;
  /** Where UEFI variables and the verdict on KVM are kept. */
  dataDir: string;
  accel: 'auto' | 'kvm' | 'tcg';
  logger: Logger;
  /** Default `qemu-system-x86_64`. */
  binary?: string;
};

const handshakeTimeout = 20_000;
const logInterval = 60_000;
const maxLog = 1024 * 1024;

export const createQemuHypervisor = (options: QemuHypervisorOptions): Hypervisor => new QemuHypervisor(options);

class QemuHypervisor implements Hypervisor {
  readonly #options: QemuHypervisorOptions & { binary: string };
  readonly #guests = new Map<string, QemuGuest>();
  readonly #cgroups: Cgroups;
  readonly #launching = new Set<string>();
  readonly #logTimer: NodeJS.Timeout;
  #info: Promise<QemuInfo> | undefined;
  #accelerator: Promise<Accelerator> | undefined;

  constructor(options: QemuHypervisorOptions) {
    checkSocketPaths(options.vms);
    this.#cgroups = new Cgroups(options.logger);
    this.#options = { binary: 'qemu-system-x86_64', ...options };
    // In the background of the start; whoever needs it gets the failure.
    this.accelerator().catch(() => undefined);
    this.#logTimer = setInterval(() => void this.#boundLogs(), logInterval).unref();
  }

  accelerator(): Promise<Accelerator> {
    this.#accelerator ??= this.#settleAccelerator().catch((error: unknown) => {
      this.#accelerator = undefined;
      throw error;
    });
    return this.#accelerator;
  }

  async versions(): Promise<Record<string, string>> {
    return { qemu: (await this.#qemu()).version };
  }

  async adopt(): Promise<Adoption> {
    for (const guest of this.#guests.values()) guest.release();
    this.#guests.clear();
    const adoption = await adoptGuests(this.#options.vms, this.#options.logger, this.#cgroups);
    for (const guest of adoption.guests) this.#guests.set(guest.id, guest);
    return adoption;
  }

  async launch(spec: GuestSpec): Promise<Guest> {
    if (this.#launching.has(spec.id)) throw new CroftError('already-exists', `A guest of ${spec.title} is being started.`);
    this.#launching.add(spec.id);
    try {
      await this.#refuseSecond(spec);
      return await this.#start(spec);
    } finally {
      this.#launching.delete(spec.id);
    }
  }

  async forget(id: string): Promise<void> {
    const dir = runDirOf(this.#options.vms, id);
    const record = await readLaunchRecord(dir);
    if (record && (await isAlive(record)) && (await this.#running(id))) {
      throw new CroftError('invalid-state', `The guest ${record.title} still runs (pid ${record.pid}); end it first.`);
    }
    this.#guests.get(id)?.release();
    this.#guests.delete(id);
    await this.#cgroups.remove(id);
    await rm(dir.path, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    clearInterval(this.#logTimer);
    for (const guest of this.#guests.values()) guest.release();
    this.#guests.clear();
  }

  #qemu(): Promise<QemuInfo> {
    this.#info ??= readQemuInfo(this.#options.binary).catch((error: unknown) => {
      this.#info = undefined; // It may be installed meanwhile.
      throw error;
    });
    return this.#info;
  }

  async #settleAccelerator(): Promise<Accelerator> {
    const { accel, binary, dataDir, logger } = this.#options;
    if (accel !== 'auto') return { name: accel, reason: `CROFT_ACCEL=${accel}` };
    const { version } = await this.#qemu();
    const chosen = await chooseAccelerator({ binary, qemuVersion: version, dataDir, logger });
    logger.info(chosen, 'accelerator chosen');
    return chosen;
  }

  /** The process table is asked, not our memory: two QEMUs on one disk would destroy it. */
  async #refuseSecond(spec: GuestSpec): Promise<void> {
    const other = await this.#running(spec.id);
    if (other) throw new CroftError('already-exists', `A guest of ${spec.title} runs already (pid ${other}).`);
  }

  async #running(id: string): Promise<number | undefined> {
    return (await findQemus(this.#options.vms)).find(({ uuid }) => uuid === id)?.pid;
  }

  async #start(spec: GuestSpec): Promise<Guest> {
    const { vms, dataDir, binary, logger } = this.#options;
    const [info, accelerator] = await Promise.all([this.#qemu(), this.accelerator()]);
    const owner = spec.uid === undefined ? undefined : { uid: spec.uid, gid: await guestGid(spec.uid, accelerator.name) };
    const efi = spec.firmware === 'efi' ? await prepareEfi(dataDir, spec.id, owner, spec.secureBoot) : undefined;
    const dir = runDirOf(vms, spec.id);
    const argv = buildArgv(spec, { binary, accelerator: accelerator.name, machine: info.machine, runDir: dir, efi });
    this.#guests.get(spec.id)?.release();
    await makeRunDir(dir, owner);
    const held = await holdProcess({ argv, log: dir.log, ...owner, timezone: spec.timezone });
    const record: LaunchRecord = {
      ...held.identity,
      id: spec.id,
      title: spec.title,
      epoch: spec.epoch,
      argv,
      machine: spec.machine ?? info.machine,
      accelerator: accelerator.name,
      paused: spec.paused ?? false,
      uid: spec.uid,
      startedAt: new Date().toISOString(),
    };
    try {
      await writeLaunchRecord(dir, record);
    } catch (error) {
      held.abort();
      throw error;
    }
    const { sockets, cores, threads } = spec.cpus;
    await this.#cgroups.remove(spec.id);
    await this.#cgroups.place(spec.id, record.pid, {
      memory: memoryLimitOf(spec.memory, accelerator.name),
      vcpus: sockets * cores * threads,
      cpuLimit: spec.cpuLimit,
    });
    held.release();
    const guest = new QemuGuest(record, dir, logger, this.#cgroups);
    await this.#handshake(guest, dir);
    this.#guests.set(spec.id, guest);
    return guest;
  }

  /** Until QEMU answers, has ended, or has had its time. A failed start leaves neither process nor directory. */
  async #handshake(guest: QemuGuest, dir: RunDir): Promise<void> {
    try {
      await guest.untilConnected(handshakeTimeout);
    } catch (cause) {
      guest.release();
      const alive = await isAlive(guest.record);
      await killForSure(guest.record);
      const words = await lastWords(dir.log);
      await rm(dir.path, { recursive: true, force: true });
      if (alive) throw cause;
      if (/: not found|No such file.*qemu-system/.test(words))
        throw new CroftError('missing-component', `QEMU could not be started: ${words}`);
      throw new CroftError('command-failed', `QEMU ended at once: ${words || 'it said nothing'}`, { cause });
    }
  }

  /** What QEMU prints is bounded: a guest can provoke messages without end. */
  async #boundLogs(): Promise<void> {
    for (const id of this.#guests.keys()) {
      const { log } = runDirOf(this.#options.vms, id);
      const size = (await stat(log).catch(() => undefined))?.size ?? 0;
      // It is appended to, so QEMU goes on writing at the new end. A directory that is gone needs no bound.
      if (size > maxLog) await truncate(log).catch(() => undefined);
    }
  }
}

/** Under KVM a guest's process has the device's group, which alone lets it open /dev/kvm. */
async function guestGid(uid: number, accelerator: 'kvm' | 'tcg'): Promise<number> {
  if (accelerator === 'tcg') return uid;
  const device = await stat('/dev/kvm').catch(() => undefined);
  return device && (device.mode & 0o060) === 0o060 ? device.gid : uid;
}
