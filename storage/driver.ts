/**
 * VolumeDriver: what a pool can do. A *volume* is a name (the claim's `croft.io/id`) bound to a *generation*
 * (a file or an RBD image): a snapshot freezes the present generation and puts a new one on top; restore and
 * clone bind a new generation made from a snapshot. Both are O(1) on every driver.
 *
 * Methods that must happen while a guest runs return *steps*; `appliance/vm` runs the qmp ones of all disks
 * in one `transaction`, and freezes or stops the guest around host ones. Each driver is proven by the one
 * contract suite in test/contract/volume-driver.ts.
 */

/** A node of QEMU's -blockdev graph, as QMP's blockdev-add takes it (qapi/block-core.json, BlockdevOptions). */
export type BlockdevOptions = { driver: string; 'node-name': string } & Record<string, unknown>;

/** How QEMU opens a volume: nodes bottom-up, the last is what the device uses. */
export type BlockdevGraph = { nodes: BlockdevOptions[]; top: string };

export type QmpStep = { qmp: { execute: string; arguments: Record<string, unknown> } };
export type HostStep = { host: string; run: (signal?: AbortSignal) => Promise<void> };
export type Step = QmpStep | HostStep;

/**
 * True for the qmp steps that one `transaction` may hold. Steps keep their order: run what stands before it (layers
 * made and opened) for all disks, then these of all disks in one transaction, then what stands after.
 */
export const isTransactional = (step: Step): step is QmpStep => 'qmp' in step && step.qmp.execute === 'blockdev-snapshot';

export type VolumeSource =
  | { blank: true }
  /** An image of this pool by its Image id. */
  | { imageId: string }
  | { volumeId: string; snapshotId?: string };

export type VolumeInfo = {
  id: string;
  /** Bytes the guest sees. */
  size: number;
  /** Bytes taken in the pool. */
  used: number;
  snapshots: { id: string; size: number; createdAt: string }[];
};

export type PoolUsage = { capacity: number; used: number; free: number; provisioned: number };

/** Where a pool keeps nothing else in reserve: a part of it, and bytes at most. */
const defaultReserve = { part: 0.05, most: 10 * 2 ** 30 };
export const reserveOf = (capacity: number, wished: number | undefined): number =>
  wished ?? Math.min(capacity * defaultReserve.part, defaultReserve.most);

/** Bytes free for guests' disks, and those to be kept free. */
export type PoolSpace = {
  free: number;
  reserve: number;
  /** Space is given block by block: any write may take some, not only one beyond a file's end. */
  sparse?: boolean;
};

/** A disk that a replicated pool is to be made of. */
export type DiskWish = {
  /** Also the uuid of its OSD. */
  id: string;
  path: string;
  /** Bytes; a file of this size is made where there is none. */
  size?: number | undefined;
  /** Serial numbers (a file's or partition's path) of disks that may be overwritten. */
  wipe?: string[] | undefined;
  /** The box it is in; absent on a box alone. */
  node?: string | undefined;
  /** Its light is to blink until then; ISO 8601. */
  locateUntil?: string | undefined;
};

/** What a disk says of itself (SMART); what it doesn't say is absent. */
export type DiskSmart = {
  /** Its own verdict. */
  passed?: boolean;
  /** °C. */
  temperature?: number;
  /** Hours it has run. */
  hours?: number;
  /** Percent of a flash disk's life that is used up. */
  wear?: number;
  /** Sectors moved away, waiting to be, or unreadable. */
  badSectors?: number;
};

/** A disk of a replicated pool; `id` is the wish's (StoragePool's `spec.disks[].id`). */
export type DiskState = {
  id: string;
  /** `osd.1`; its path while it has no number. */
  name: string;
  path: string;
  /** Bytes. */
  size?: number;
  serial?: string;
  /** `leaving`: its data is being moved to other disks, or it is dead and about to be forgotten. */
  state: 'refused' | 'preparing' | 'up' | 'down' | 'leaving';
  /** Why it was refused, or is not started again. */
  reason?: string;
  smart?: DiskSmart;
  /** What it says of itself that one should know before it fails. */
  warning?: string;
  /** What blinks so that it is found: a light of its own, or the one that tells of its work. */
  locating?: 'light' | 'activity';
};

/** How safe a pool's data is, in words and as a figure. */
export type PoolHealth = {
  /** `rebuilding`: copies are missing and being made; `degraded`: missing; `blocked`: some data cannot be reached. */
  state: 'ok' | 'rebuilding' | 'degraded' | 'blocked' | 'unknown';
  message: string;
  /** Disks that may fail now without loss. */
  survives: number;
  /** Why the wished disks are not all in use. */
  problem?: string;
  /** While copies are missing or made: how much is missing (0 to 1), bytes a second made, seconds to go. */
  recovery?: { missing: number; bytesPerSecond: number; seconds?: number };
  disks: DiskState[];
};

/** Progress of long work: bytes done and bytes in all. */
export type Progress = (done: number, total: number) => void;

export type ExportFormat = 'qcow2' | 'vmdk';
export type ExportOptions = {
  /** Made or overwritten. */ file: string;
  format: ExportFormat;
  progress?: Progress;
  signal?: AbortSignal;
};

export type ChangesOptions = {
  /** Made or overwritten by an export, read by an import. */ file: string;
  /** A snapshot that both ends have. */
  since?: string;
  progress?: Progress;
  signal?: AbortSignal;
};

export interface VolumeDriver {
  readonly name: string;
  /** Makes the pool's directories and finishes or undoes what a crash cut off. Idempotent. */
  open(): Promise<void>;
  usage(): Promise<PoolUsage>;
  /** Cheap, asked every few seconds while guests run; absent where writers can't fill the pool. */
  space?(): Promise<PoolSpace>;

  /** Idempotent by id: the same call again returns the same volume. @throws `insufficient-storage`, `not-found` (source) */
  create(volume: { id: string; size: number; source: VolumeSource }): Promise<VolumeInfo>;
  get(id: string): Promise<VolumeInfo | undefined>;
  list(): Promise<VolumeInfo[]>;
  /** Idempotent. Deletes its snapshots; bases still used by others stay until the last user goes. @throws `in-use` while locked by a guest */
  delete(id: string): Promise<void>;

  /** What QEMU opens. `nodeName` prefixes all node names (≤ 15 characters); `owner` may read and write the files. */
  blockdev(id: string, nodeName: string, owner: { uid: number; gid: number } | undefined): Promise<BlockdevGraph>;

  /** Steps to grow to `size` bytes; `node` is the top node's name while a guest has it open. @throws `invalid-input` when smaller */
  grow(id: string, size: number, node: string | undefined): Promise<Step[]>;
  /** Steps to snapshot; `node` as above. Calling again with the same snapshotId after a crash completes it. */
  snapshot(id: string, snapshotId: string, node: string | undefined): Promise<Step[]>;
  /** Binds the volume to a new generation made from the snapshot (the guest is stopped). */
  restore(id: string, snapshotId: string): Promise<void>;
  deleteSnapshot(id: string, snapshotId: string): Promise<void>;

  /**
   * A QEMU job that shortens the chain of a volume that a guest has open, if it is worth it; absent where a pool has no
   * chains. The job's id says what it does. Cut off anywhere, the volume reads the same. `node`: as above.
   */
  shorten?(id: string, node: string): Promise<{ job: string; before: HostStep; stream: QmpStep } | undefined>;
  /** Records a finished job of `shorten`. Idempotent. @throws when the volume isn't so: nothing was changed then */
  shortened?(id: string, job: string): Promise<void>;

  /** Takes a verified, flat qcow2 or raw file in as the immutable image `imageId`, moving it. Idempotent. */
  importImage(imageId: string, file: string, progress?: Progress): Promise<{ size: number; used: number }>;
  getImage(imageId: string): Promise<{ size: number; used: number } | undefined>;
  /** Idempotent. Bytes stay until the last clone is gone. */
  deleteImage(imageId: string): Promise<void>;
  /** Writes an image's bytes to a file, raw; made or overwritten. Absent where a pool cannot. @throws CroftError `not-found` */
  exportImage?(imageId: string, options: { file: string; signal?: AbortSignal }): Promise<void>;

  /** Writes a snapshot's disk to a file, flat (`vmdk`: stream-optimised), also while a guest runs on. Absent where a pool cannot yet. */
  exportSnapshot?(id: string, snapshotId: string, options: ExportOptions): Promise<void>;

  /**
   * Writes what changed from one snapshot to a later one (`since` absent: all that is in it) to a file, in the pool's own
   * format; sparse parts are left out. Also while a guest runs on. Absent where a pool cannot.
   */
  exportChanges?(id: string, snapshotId: string, options: ChangesOptions): Promise<void>;
  /**
   * Puts such a file on a closed volume that has the snapshot `since`, or on an empty one, and snapshots the result under
   * the id it had. Cut off, it is done again. @throws CroftError `not-found` (no such snapshot), `in-use`
   */
  importChanges?(id: string, snapshotId: string, options: ChangesOptions): Promise<void>;

  /** Redundancy; absent where a pool has none of its own (`local`). */
  health?(): Promise<PoolHealth>;
  /** The disks the pool is to be made of from now on; the others are emptied and taken out. @throws what a disk is refused for */
  setDisks?(disks: readonly DiskWish[]): Promise<void>;
}

/** A claim's volume, or one sentence (with numbers) why it isn't ready yet. */
export type ResolvedVolume =
  | {
      driver: VolumeDriver;
      volumeId: string;
      /** Name of its pool. */
      pool?: string;
      /** Bytes it has. */
      size: number;
      /** Bytes its claim asks for, where that is more: a guest that has it open grows it (`VolumeDriver.grow`). */
      wished?: number;
    }
  | { pending: string };

/** What appliance/vm asks of storage: the volume behind a claim. */
export interface VolumeResolver {
  resolve(namespace: string, claimName: string): Promise<ResolvedVolume>;
  /** An open pool. @throws CroftError `not-found`, `unavailable` */
  pool(name: string): VolumeDriver;
  /**
   * Files out of an image that is a tar archive, readable by all guests' users; they stay as long as the image.
   * @throws CroftError `not-found` naming a path that isn't in it, `invalid-input` when it is no archive
   */
  filesOf(image: { id: string; pool: string }, paths: readonly string[]): Promise<string[]>;
}

/** A box by its name in the storage cluster and the addresses its clients come from. */
export type BoxPlace = { box: string; addresses: readonly string[] };

/**
 * Shuts a box out of the shared disks, and lets it in again (docs/ha.md). Every method may be repeated and cut off;
 * what has been done is always read from the disks' own map.
 * @throws CroftError `unavailable`, `command-timeout` without a quorum of monitors
 */
export interface StorageFence {
  look(place: BoxPlace): Promise<{ blocked: boolean; disksStopped: boolean; servesWithout: boolean }>;
  /** True while a disk of the box serves; undefined when it has none. */
  serves(box: string): Promise<boolean | undefined>;
  block(place: BoxPlace): Promise<void>;
  /** Marks its disks down; they may not come up before `letIn`. */
  stopDisks(place: BoxPlace): Promise<void>;
  /** Lets pools go on with one copy where two boxes hold them. */
  serveWithout(): Promise<void>;
  /**
   * Proves that every placement group works by a map at least as new as the one it returns the epoch of.
   * @throws CroftError `unavailable` naming how many groups didn't answer
   */
  prove(): Promise<number>;
  letIn(place: BoxPlace): Promise<void>;
  /** Asks for two copies again where all are there. */
  mend(): Promise<void>;
}
