/**
 * What the VM reconciler asks of a hypervisor: start a guest, find the ones that run already, and talk to
 * each. `appliance/qemu` is the real one; `appliance/vm/sim.ts` the simulated one (property tests, `npm run
 * dev`). Both pass test/contract/hypervisor.ts.
 */
import type { Duplex } from 'node:stream';
import type { BlockdevGraph } from '../../storage/driver.ts';
import type { HypervFeatures } from '../resources/guest-features.ts';
import type { PluggedNic } from '../../network/driver.ts';

export type GuestDisk = {
  /** The disk's name in the VM; device id and block node names derive from its index. */
  name: string;
  index: number;
  kind: 'disk' | 'cdrom';
  bus: 'virtio' | 'sata' | 'scsi';
  /** Absent: a CD drive without a medium. */
  graph?: BlockdevGraph;
  bootOrder?: number;
  serial?: string;
};

export type GuestNic = {
  name: string;
  index: number;
  mac: string;
  model: 'virtio' | 'e1000e';
  /** Absent: QEMU's user-mode networking. */
  tap?: PluggedNic;
  bootOrder?: number;
};

/** Everything a QEMU command line is made of. Pure data: same spec, same argv. */
export type GuestSpec = {
  /** `croft.io/id` of the VM: run directory, -uuid, -name. */
  id: string;
  /** For people, in -name: `project/name`. */
  title: string;
  epoch: number;
  cpus: { sockets: number; cores: number; threads: number; model?: string };
  /** Bytes. */
  memory: number;
  /** Processors it may use at most, where a limit was asked for. */
  cpuLimit?: number;
  firmware: 'bios' | 'efi';
  /** SMBIOS uuid where the user asked for one. */
  smbiosUuid?: string;
  /** Versioned machine type, e.g. `pc-q35-7.2`; default: the newest q35 of the installed QEMU, recorded. */
  machine?: string;
  disks: GuestDisk[];
  nics: GuestNic[];
  /** Hyper-V enlightenments, as KubeVirt's spec names them; only KVM has them. */
  hyperv?: HypervFeatures;
  /** Hides KVM's own signature from the guest. */
  hideKvm?: boolean;
  /** The virtual clock shows the local time of this zone; absent: UTC. */
  timezone?: string;
  /** Booted directly, instead of what is on a disk: host files and the kernel's command line. */
  kernel?: { file: string; initrd?: string; args?: string };
  /** UEFI with Secure Boot enforced. */
  secureBoot?: boolean;
  /** VNC and a VGA device. */
  graphics: boolean;
  /** Linux user that QEMU runs as; undefined where we are not root. */
  uid?: number;
  /** Starts with stopped vCPUs. */
  paused?: boolean;
  /** cloud-init NoCloud seed, added as a read-only virtio disk labelled `cidata`. */
  seedFile?: string;
  /** Waits, stopped, for a guest that is sent to it (`migrate-incoming`). */
  incoming?: boolean;
  /** Root ports to have, where another machine of the same guest has so many; default: by the devices. */
  ports?: { nic: number; disk: number };
};

/** How a guest ended, as read from QEMU before it was told to quit; `crashed`: QEMU went without saying; `oom-killed`: the kernel took it. */
export type GuestExit = 'shutdown' | 'panicked' | 'crashed' | 'oom-killed' | 'killed';

/** QMP's RunState, as far as it matters here. */
export type GuestRunState = 'running' | 'paused' | 'io-error' | 'shutdown' | 'panicked' | 'inmigrate' | 'unresponsive';

export type GuestEvent =
  | { type: 'state'; state: GuestRunState }
  | { type: 'exit'; exit: GuestExit }
  | { type: 'reset' }
  | { type: 'io-error'; disk: string; reason: string }
  | { type: 'agent'; connected: boolean }
  /** QEMU's MIGRATION event: ask for what is so. */
  | { type: 'migration'; status: string };

export type GuestAgentInfo = {
  hostname?: string;
  os?: { name?: string; prettyName?: string; version?: string; id?: string; kernelRelease?: string };
  interfaces: { name: string; mac?: string; addresses: string[] }[];
};

/** Counters of one disk since QEMU's start, as the guest sees it. */
export type DiskCounters = {
  readBytes: number;
  writeBytes: number;
  reads: number;
  writes: number;
  flushes: number;
  readSeconds: number;
  writeSeconds: number;
  flushSeconds: number;
};

/** What a guest has used since QEMU's start. */
export type GuestStats = {
  /** Of the whole process: vCPUs, I/O threads and emulation. */
  cpuSeconds: number;
  /** The part of it spent in the kernel. */
  cpuSystemSeconds: number;
  /** By the vCPU's number: seconds that its thread ran. */
  vcpuSeconds: number[];
  /** Bytes of the process in memory. */
  residentBytes: number;
  /** The guest's own view, bytes; absent until its balloon driver has spoken. */
  memory?: { total: number; free: number; available: number; cached?: number };
  /** By the disk's name. */
  disks: Record<string, DiskCounters>;
};

/** Who is signed in, as the guest agent says. */
export type GuestUser = { name: string; domain?: string; loginTime: number };

/** A mounted file system, as the guest agent says. Bytes. */
export type GuestFilesystem = { name: string; mountpoint: string; type: string; usedBytes?: number; totalBytes?: number };

export interface Guest {
  readonly id: string;
  readonly epoch: number;
  readonly pid: number;
  /** What a machine must have in common with this one to take its guest. */
  readonly shape: { machine: string; accelerator: 'kvm' | 'tcg'; ports: { nic: number; disk: number } };
  /** The present state; `unresponsive` when QMP does not answer within its deadline. */
  state(): Promise<GuestRunState>;
  /** ACPI power button. */
  powerdown(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  reset(): Promise<void>;
  /**
   * Ends QEMU: `quit`, then SIGKILL after 2 s, always after checking that the pid is still ours. Returns within 5 s.
   * @throws CroftError `invalid-state` when the process hangs in the kernel (state D): its disks stay locked.
   */
  kill(): Promise<void>;
  /** One QMP command, with a deadline in ms (default 10 000). @throws CroftError `qmp-failed`, `command-timeout` */
  qmp<T = unknown>(execute: string, args?: Record<string, unknown>, timeout?: number): Promise<T>;
  /** Hot-plug and unplug; each is complete (device gone from the guest) when it returns. */
  attachDisk(disk: GuestDisk): Promise<void>;
  detachDisk(name: string): Promise<void>;
  /** Takes the medium out of a CD drive and, unless `graph` is undefined, puts another in. A guest that locks its tray is asked first, then overruled. */
  changeMedium(name: string, graph: BlockdevGraph | undefined): Promise<void>;
  /** Names of the disks and NICs the guest has now, the seed not counted. */
  disks(): Promise<string[]>;
  nics(): Promise<string[]>;
  /** The block node that each of those disks uses now: after a live snapshot, the newest layer's. */
  topNodes(): Promise<ReadonlyMap<string, string>>;
  attachNic(nic: GuestNic): Promise<void>;
  detachNic(name: string): Promise<void>;
  setLink(nic: string, up: boolean): Promise<void>;
  /** A stream of the serial console's or VNC server's bytes. Many serial readers may be open at once. */
  openConsole(kind: 'serial' | 'vnc'): Promise<Duplex>;
  /** What the guest agent says; undefined when there is none. */
  agentInfo(): Promise<GuestAgentInfo | undefined>;
  /** Signed-in users and mounted file systems; undefined when there is no agent. @throws as the agent */
  agentLists(): Promise<{ users: GuestUser[]; filesystems: GuestFilesystem[] } | undefined>;
  /** Freezes or thaws file systems through the agent; false when there is no agent. */
  freeze(frozen: boolean): Promise<boolean>;
  /** What it has used. @throws CroftError `qmp-failed`, `command-timeout` when QEMU doesn't answer */
  stats(): Promise<GuestStats>;
  subscribe(listener: (event: GuestEvent) => void): () => void;
}

/** What adoption found: running guests, guests that ended meanwhile, and QEMUs with no record of ours. */
export type Adoption = {
  guests: Guest[];
  ended: { id: string; epoch: number; exit: GuestExit | 'node-rebooted' }[];
  unknown: { pid: number; uuid: string }[];
};

export interface Hypervisor {
  /** The accelerator in use and why, e.g. `{name: 'tcg', reason: '/dev/kvm is there but a test kernel did not boot'}`. */
  accelerator(): Promise<{ name: 'kvm' | 'tcg'; reason: string }>;
  /** Versions for the node's status, e.g. `{qemu: '7.2.19'}`. */
  versions(): Promise<Record<string, string>>;
  /** Finds the guests that outlived us. Trusts /proc, launch.json and QMP; no event history. */
  adopt(): Promise<Adoption>;
  /** Starts a guest. @throws CroftError `already-exists` while one of this id runs; `missing-component`, `command-failed` with QEMU's own words */
  launch(spec: GuestSpec): Promise<Guest>;
  /** Removes the run directory of a guest that has ended. Idempotent. */
  forget(id: string): Promise<void>;
  /** Lets go of all connections; guests run on. */
  close(): Promise<void>;
}
