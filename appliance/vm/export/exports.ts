/**
 * Exports of VMs: a snapshot's disks, flat, and for an OVA the descriptor around them.
 *
 * An export is a task that leaves a directory: one file for each disk, `export.json` when all are there (a directory
 * without it is an unfinished one, removed at the next start). The disks are read from a snapshot, so that a VM may run
 * on meanwhile; unless one was named, it is taken for this and deleted at the end. What is not fetched within a day goes.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CroftError } from '../../errors.ts';
import { writeFileAtomic } from '../../host/files.ts';
import type { Logger } from '../../host/logger.ts';
import { writeOvf } from '../../ovf/write.ts';
import type { ExportRecord, VmExports, VmKey } from '../../ports.ts';
import type { TaskHandle, Tasks } from '../../reconcile/tasks.ts';
import { idLabel, newId, shortId } from '../../resources/identity.ts';
import { humanBytes } from '../../resources/quantity.ts';
import { reasonAnnotation, snapshotObjectName, virtualMachineSnapshot, type SnapshotContent } from '../../resources/snapshot.ts';
import { virtualMachine } from '../../resources/virtual-machine.ts';
import { mustGet } from '../../store/edit.ts';
import type { ResourceStore } from '../../store/store.ts';
import type { VolumeResolver } from '../../../storage/driver.ts';
import { cpusOf, firmwareOf, macOf, memoryOf, networkOf, vcpuCount, wishedNics } from '../guest-shape.ts';
import { piecesOf, readPieces, sizeOf, type ArchiveFile } from './archive.ts';

export type ExportOptions = {
  store: ResourceStore;
  volumes: VolumeResolver;
  tasks: Tasks;
  /** Its own; made if missing. */
  directory: string;
  logger: Logger;
  /** ms that an export is kept. Default a day. */
  maxAge?: number;
};

export type Exports = VmExports & { stop(): Promise<void> };

type Wish = Parameters<VmExports['begin']>[1];
type Kept = ExportRecord & { plain: boolean; files: { name: string; size: number; text?: string }[] };

const day = 24 * 60 * 60 * 1000;
const snapshotDeadline = 15 * 60 * 1000;
const spare = 2 ** 30;
const reason = 'export';

/** Removes what an earlier run left unfinished. */
export async function startExports(options: ExportOptions): Promise<Exports> {
  const { store, tasks, directory, logger, maxAge = day } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const running = new Map<string, { abort: AbortController; done: Promise<unknown> }>();
  const folder = (id: string): string => join(directory, id);

  async function kept(id: string): Promise<Kept | undefined> {
    if (!/^[0-9a-f-]{36}$/.test(id)) return undefined;
    try {
      return JSON.parse(await readFile(join(folder(id), 'export.json'), 'utf8')) as Kept;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async function get(id: string): Promise<ExportRecord | undefined> {
    const found = await kept(id);
    if (!found) return undefined;
    const { vm, format, file, size, createdAt, expiresAt } = found;
    return { id, vm, format, file, size, createdAt, expiresAt };
  }

  async function clean(): Promise<void> {
    for (const id of await readdir(directory)) {
      const found = await kept(id);
      const live = running.has(id) || (found && Date.parse(found.expiresAt) > Date.now());
      if (!live) await rm(folder(id), { recursive: true, force: true });
    }
    for (const { metadata } of (await store.list(virtualMachineSnapshot, {})).items) {
      const of = metadata.annotations?.[reasonAnnotation] === reason && metadata.annotations[exportAnnotation];
      if (of && !running.has(of)) await store.delete(virtualMachineSnapshot, metadata.name, metadata.namespace);
    }
  }

  async function work(id: string, key: VmKey, wish: Wish, handle: TaskHandle, signal: AbortSignal): Promise<void> {
    const target = folder(id);
    await mkdir(target, { mode: 0o700 });
    let made: string | undefined;
    try {
      handle.progress(0, 'taking a snapshot');
      const name = wish.snapshot ?? (made = await takeSnapshot(store, key, id));
      const content = await readySnapshot(store, key, name, signal);
      await writeFiles(options, target, id, key, content, wish, { handle, signal, maxAge });
    } catch (error) {
      await rm(target, { recursive: true, force: true });
      throw error;
    } finally {
      if (made !== undefined) await store.delete(virtualMachineSnapshot, made, key.namespace);
    }
  }

  await clean();
  const timer = setInterval(() => {
    clean().catch((error: unknown) => logger.warn({ err: error }, 'old exports could not be removed'));
  }, 600_000).unref();

  return {
    async begin(key, wish) {
      await mustGet(store, virtualMachine, key.name, key.namespace);
      const id = newId();
      const abort = new AbortController();
      const about = { id, verb: 'vm.export', target: { kind: 'VirtualMachine', name: key.name, project: key.namespace } };
      const done = tasks
        .run({ ...about, cancellable: true, ...(wish.by === undefined ? {} : { by: wish.by }) }, (handle) =>
          work(id, key, wish, handle, AbortSignal.any([handle.signal, abort.signal])),
        )
        .catch((error: unknown) => logger.info({ err: error, vm: key.name }, 'an export failed')) // the task has it
        .finally(() => running.delete(id));
      running.set(id, { abort, done });
      return id;
    },
    get,
    async list() {
      const found = await Promise.all((await readdir(directory)).map(get));
      return found.filter((record) => record !== undefined);
    },
    async read(id, start, end) {
      const found = await kept(id);
      if (!found) throw new CroftError('not-found', `There is no export ${id}.`);
      return readPieces(pieces(found, folder(id)), start, end);
    },
    async remove(id) {
      const current = running.get(id);
      current?.abort.abort();
      await current?.done;
      if (!(await kept(id))) throw new CroftError('not-found', `There is no export ${id}.`);
      await rm(folder(id), { recursive: true, force: true });
    },
    async stop() {
      clearInterval(timer);
      for (const { abort } of running.values()) abort.abort();
      await Promise.all([...running.values()].map(({ done }) => done));
    },
  };
}

const exportAnnotation = 'croft.io/export';

const pieces = (found: Kept, folder: string) =>
  piecesOf(
    found.files.map(
      ({ name, size, text }): ArchiveFile =>
        text === undefined ? { name, size, path: join(folder, name) } : { name, size, text },
    ),
    found.plain,
    Math.floor(Date.parse(found.createdAt) / 1000),
  );

async function takeSnapshot(store: ResourceStore, key: VmKey, id: string): Promise<string> {
  const name = snapshotObjectName(key.name, `export-${shortId(id)}`);
  await store.create(virtualMachineSnapshot, {
    metadata: {
      name,
      namespace: key.namespace,
      labels: { [idLabel]: newId() },
      annotations: { [reasonAnnotation]: reason, [exportAnnotation]: id },
    },
    spec: { source: { apiGroup: 'kubevirt.io', kind: 'VirtualMachine', name: key.name } },
  });
  return name;
}

async function readySnapshot(store: ResourceStore, key: VmKey, name: string, signal: AbortSignal): Promise<SnapshotContent> {
  for (const deadline = Date.now() + snapshotDeadline; ; ) {
    const found = await mustGet(store, virtualMachineSnapshot, name, key.namespace);
    const { phase, readyToUse, error, croft } = found.status ?? {};
    if (readyToUse && croft?.content) return croft.content;
    if (phase === 'Failed' || Date.now() > deadline) {
      throw new CroftError(
        'invalid-state',
        `The snapshot for the export ${phase === 'Failed' ? 'failed' : 'is not ready'}: ${error?.message ?? 'no reason was given'}.`,
      );
    }
    await delay(300, undefined, { signal });
  }
}

async function writeFiles(
  { volumes }: ExportOptions,
  target: string,
  id: string,
  key: VmKey,
  content: SnapshotContent,
  wish: Wish,
  { handle, signal, maxAge }: { handle: TaskHandle; signal: AbortSignal; maxAge: number },
): Promise<void> {
  const ova = wish.format === 'ova';
  const chosen = ova
    ? content.disks
    : content.disks.filter((disk, index) => (wish.disk === undefined ? index === 0 : disk.name === wish.disk));
  if (chosen.length === 0) {
    const known = content.disks.map(({ name }) => name).join(', ');
    throw new CroftError(
      'invalid-input',
      `disk: ${key.name} has no disk ${wish.disk ?? 'at all'}${known ? `; it has ${known}` : ''}.`,
    );
  }
  const disks: { file: string; size: number; capacity: number; sha256: string }[] = [];
  for (const [index, disk] of chosen.entries()) {
    const found = await volumes.resolve(key.namespace, disk.claim);
    if ('pending' in found) throw new CroftError('unavailable', found.pending);
    const { driver, volumeId } = found;
    if (!driver.exportSnapshot)
      throw new CroftError('invalid-state', `Disk ${disk.name} is in a pool of kind ${driver.name}, which cannot export yet.`);
    await assertSpace(target, (await driver.get(volumeId))?.used ?? 0);
    const file = `${key.name}-${disk.name}.${ova ? 'vmdk' : 'qcow2'}`;
    const share = (fraction: number, step: string) =>
      handle.progress((index + fraction) / chosen.length, `disk ${disk.name}: ${step}`);
    share(0, 'reading');
    await driver.exportSnapshot(volumeId, content.snapshotId, {
      file: join(target, file),
      format: ova ? 'vmdk' : 'qcow2',
      signal,
      progress: (done, total) => share((done / total) * 0.9, 'reading'),
    });
    share(0.9, 'checksum');
    const { size } = await stat(join(target, file));
    disks.push({ file, size, capacity: disk.size, sha256: await sha256Of(join(target, file), signal) });
  }
  const createdAt = new Date().toISOString();
  const files = ova ? withDescriptor(key, content, disks) : disks.map(({ file: name, size }) => ({ name, size }));
  const record: Kept = {
    id,
    vm: key,
    format: wish.format,
    file: ova ? `${key.name}.ova` : (disks[0]?.file ?? key.name),
    size: 0,
    createdAt,
    expiresAt: new Date(Date.now() + maxAge).toISOString(),
    plain: !ova,
    files,
  };
  record.size = sizeOf(pieces(record, target));
  await writeFileAtomic(join(target, 'export.json'), JSON.stringify(record), 0o600);
}

function withDescriptor(
  key: VmKey,
  { vm }: SnapshotContent,
  disks: { file: string; size: number; capacity: number; sha256: string }[],
): Kept['files'] {
  const { spec } = vm.spec.template;
  const vmId = vm.labels?.[idLabel] ?? '';
  const nics = wishedNics(spec).map(({ name, macAddress }) => ({
    network: networkOf(spec, name),
    mac: macAddress ?? macOf(vmId, name),
  }));
  const descriptor = writeOvf({
    name: key.name,
    cpus: vcpuCount(cpusOf(spec)),
    memory: memoryOf(spec),
    firmware: firmwareOf(spec),
    disks,
    nics,
  });
  const ovf = `${key.name}.ovf`;
  const sums = [{ file: ovf, sha256: createHash('sha256').update(descriptor).digest('hex') }, ...disks];
  const manifest = sums.map(({ file, sha256 }) => `SHA256(${file})= ${sha256}\n`).join('');
  const text = (name: string, content: string) => ({ name, size: Buffer.byteLength(content), text: content });
  // DSP0243 wants the descriptor first, then the manifest.
  return [text(ovf, descriptor), text(`${key.name}.mf`, manifest), ...disks.map(({ file: name, size }) => ({ name, size }))];
}

async function assertSpace(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  if (free >= bytes + spare) return;
  throw new CroftError(
    'insufficient-storage',
    `The export needs up to ${humanBytes(bytes)} beside ${humanBytes(spare)} kept free; ${humanBytes(free)} are free.`,
  );
}

async function sha256Of(file: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { signal })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
