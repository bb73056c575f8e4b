/**
 * The one port between API and box (docs/architecture.md, *Privileges*): what a handler may ask of the box beside
 * writing desired state. On the appliance it goes over a socket; solo it is a call.
 */
import type { Duplex } from 'node:stream';
import type { History, Range } from './metrics/series.ts';
import type { GuestFilesystem, GuestStats, GuestUser } from './vm/hypervisor.ts';
import type { Events } from './reconcile/events.ts';
import type { Task, Tasks } from './reconcile/tasks.ts';

export type VmKey = { name: string; namespace: string };

/** Actions on a running guest that have no desired state to write. */
export type GuestAction = 'pause' | 'unpause' | 'reset' | 'soft-reboot' | 'freeze' | 'unfreeze';

/** How far an upload is; `offset` of `size` bytes are on disk. */
export type UploadState = { size: number; offset: number /** When it is dropped unless more comes. */; expiresAt: string };

/** Bytes of images that come over the API, by the image's id. */
export interface ImageUploads {
  /** Begins one, or tells how far it is. @throws CroftError `too-large`, `insufficient-storage`, `conflict` for another size */
  begin(imageId: string, size: number): Promise<UploadState>;
  state(imageId: string): Promise<UploadState | undefined>;
  /**
   * Takes what comes until it ends, also when the connection breaks: then what came is kept.
   * @throws CroftError `not-found`, `conflict` when `offset` is not where it ended, `too-large`, `insufficient-storage`
   */
  append(imageId: string, offset: number, bytes: AsyncIterable<Uint8Array>): Promise<UploadState>;
  drop(imageId: string): Promise<void>;
}

/** An export that can be fetched. `size` in bytes. */
export type ExportRecord = {
  id: string;
  vm: VmKey;
  format: 'ova' | 'qcow2';
  /** Name for the download. */
  file: string;
  size: number;
  createdAt: string;
  expiresAt: string;
};

/** VMs as files for elsewhere. */
export interface VmExports {
  /** Begins the task that makes it. `snapshot`: name of the object. @returns the task's id, which is the export's. @throws CroftError `not-found` */
  begin(vm: VmKey, wish: { format: 'ova' | 'qcow2'; snapshot?: string; disk?: string; by?: string }): Promise<string>;
  get(id: string): Promise<ExportRecord | undefined>;
  list(): Promise<ExportRecord[]>;
  /** Bytes from `start` to before `end`. @throws CroftError `not-found` */
  read(id: string, start: number, end: number): Promise<AsyncIterable<Uint8Array>>;
  /** @throws CroftError `not-found` */
  remove(id: string): Promise<void>;
}

/** Why an object isn't as wished: one sentence with numbers, and what to do next. */
export type Explanation = {
  state: string;
  sentence: string;
  /** What its disks survive; absent for a VM without disks. */
  disks?: string;
  next: string[];
  evidence: { at?: string; text: string }[];
};

/** Counters of one NIC since it was plugged, as the guest sees it. */
export type NicCounters = {
  receivedBytes: number;
  receivedPackets: number;
  receivedDrops: number;
  transmittedBytes: number;
  transmittedPackets: number;
  transmittedDrops: number;
};

export type VmStats = GuestStats & { /** By the NIC's name. */ nics: Record<string, NicCounters> };
/** `id`: the VM's `croft.io/id`. */
export type VmUsage = { vm: VmKey; id: string; stats: VmStats };

/** How a box is brought onto Kubernetes of its own. */
export type InitRequest = {
  /** A k3s program on this box; absent: the release of k3s.lock is fetched. */
  k3s?: string;
  /** Archives of images for a box without internet. */
  images?: string[];
  /** Its address in the cluster; absent: that of the interface with the default route. */
  address?: string;
  /** `key=value` each, handed to kubelet. */
  kubeletArgs?: string[];
};

export type ClusterStatus = {
  /**
   * `none` works alone, `preparing` and `moving` on its way, `foreign` on a cluster that it doesn't run; else as k3s is.
   */
  state: 'none' | 'preparing' | 'moving' | 'foreign' | 'not-installed' | 'stopped' | 'starting' | 'ready' | 'degraded';
  /** What is the matter, in one sentence, or that nothing is. */
  words: string;
  /** Of the preparation. */
  taskId?: string;
  /** Why the last try failed. */
  failed?: { at: string; code: string; detail: string };
  version?: string;
  /** The lab's substitute, not k3s. */
  standIn?: boolean;
  address?: string;
  since?: string;
  kubeconfig?: string;
  pods?: string;
  services?: string;
  certificatesEnd?: string;
};

export interface ClusterPort {
  status(): Promise<ClusterStatus>;
  /**
   * Begins; the move itself follows the task's end. @returns the task's id
   * @throws CroftError `invalid-state`, `busy`, `missing-component` (no k3s.lock), `invalid-input`
   */
  init(request: InitRequest, by?: string): Promise<string>;
}

/** A network device of the machine, and whether an uplink may be made of it. */
export type NicFact = {
  name: string;
  /** True where there is a link; absent where that isn't known. */
  link?: boolean;
  /** Mbit/s. */
  speed?: number;
  mac?: string;
  mtu: number;
  /** With prefix, link-local ones left out. */
  addresses: string[];
  /** Name of the uplink it is in. */
  uplink?: string;
  /** Why no uplink can be made of it. */
  refusal?: string;
};

/** One of an appliance's two places for a release (installer/slots.ts). */
export type SlotView = {
  slot: 'A' | 'B';
  /**
   * `running`; `next` is tried once at the next start; `ready` can be started again; `failed` did not pass its health
   * check; `empty` holds nothing, or half of a release.
   */
  state: 'running' | 'next' | 'ready' | 'failed' | 'empty';
  /** Of its release, where it holds one. */
  version?: string;
  /** Of that release's newest input. */
  builtAt?: string;
};

export type UpdateStatus = {
  /** The running release has passed its health check: before that nothing is updated. */
  confirmed: boolean;
  slots: SlotView[];
  /** Of a bundle that is being sent. */
  upload?: UploadState;
  /** Of an update under way. */
  taskId?: string;
};

/** Where the bundle comes from, one of the two: an address, or what was uploaded. */
export type UpdateRequest = {
  url?: string;
  upload?: true;
  /** Restarts the box into it as soon as it is written. */
  restart?: boolean;
};

/** Releases of an installed appliance. */
export interface UpdatePort {
  status(): Promise<UpdateStatus>;
  /** Begins. @returns the task's id @throws CroftError `busy`, `invalid-state` while the running release is not confirmed */
  begin(request: UpdateRequest, by?: string): Promise<string>;
  /** Ends an update under way, and takes back one that waits for the next start. @throws CroftError `invalid-state` */
  abort(): Promise<void>;
  /** The release of the other slot is tried at the next start. @throws CroftError `invalid-state`, `busy` */
  rollBack(): Promise<void>;
  /** Restarts the machine. @throws CroftError `busy` while an update is written */
  restart(): Promise<void>;
}

/** The id under which ImageUploads takes a bundle. */
export const updateUpload = 'node-update';

export interface BoxPort {
  /** Absent on anything but an installed appliance. */
  updates?: UpdatePort;
  /** Absent where there is nothing to run Kubernetes on: simulated boxes. */
  cluster?: ClusterPort;
  /** @throws CroftError `not-found`, `invalid-state` naming the state that would be right */
  act(vm: VmKey, action: GuestAction): Promise<void>;
  /** @throws CroftError `not-found`, `invalid-state` when the guest does not run */
  openConsole(vm: VmKey, kind: 'serial' | 'vnc'): Promise<Duplex>;
  /** PNG of the guest's screen. @throws as above */
  screenshot(vm: VmKey): Promise<Buffer>;
  explain(vm: VmKey): Promise<Explanation>;
  /** What each running guest has used so far; read now. */
  stats(): Promise<VmUsage[]>;
  /** What the guest agent says of users and file systems. @throws `not-found`, `invalid-state` without guest or agent */
  guestLists(vm: VmKey): Promise<{ users: GuestUser[]; filesystems: GuestFilesystem[] }>;
  /** The kept history of a VM (by `croft.io/id`) or of the box (`node`). */
  history(subject: string, range: Range): Promise<History>;
  /** The last hour of each running guest in few values, by `croft.io/id`. */
  recentUse(): Promise<Record<string, History<'line'>>>;
  /** Network devices by which VLANs could leave the box. */
  nics(): Promise<NicFact[]>;
  /** Called when the history has new values. Returns the way to stop. */
  onSample(listener: (at: number) => void): () => void;
  /** Bytes of memory that VMs could still be given, and in all. */
  capacity(): Promise<{ memoryFree: number; memoryTotal: number; cpus: number }>;
}

/** Tasks as the API sees them: its own and the box's. Cancelling may have to travel. */
export type TaskView = Omit<Tasks, 'cancel'> & { cancel(id: string): Task | Promise<Task> };
/** The box's tasks from another process. */
export type RemoteTasks = Omit<TaskView, 'run'>;
/** What the API sees of the box's events. */
export type EventView = Pick<Events, 'list' | 'subscribe'>;
