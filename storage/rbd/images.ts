/** Images of an rbd pool: RBD images that are never written again; volumes are clones of their snapshot `base`. */
import { rm, stat } from 'node:fs/promises';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { assertId } from '../local/files.ts';
import type { Progress } from '../driver.ts';
import { inspectImage } from '../images/inspect.ts';
import type { RbdPool } from './pool.ts';
import { imageName, imageSnapshot, type ImageRecord } from './record.ts';

const sectorSize = 512;
const convertDeadline = 2 * 60 * 60 * 1000;

/** See VolumeDriver.importImage. A file with a qcow2 header must be flat; any other is taken as raw, never guessed further. `conf`: the administrator's ceph.conf; qemu-img writes through librbd. */
export async function importImage(
  pool: RbdPool,
  conf: string,
  imageId: string,
  file: string,
  progress?: Progress,
): Promise<{ size: number; used: number }> {
  assertId(imageId);
  return pool.locks.with([`image:${imageId}`], async () => {
    const record = pool.images.get(imageId) ?? (await takeIn(pool, conf, imageId, file, progress));
    await rm(file, { force: true });
    return { size: record.size, used: record.used };
  });
}

async function takeIn(pool: RbdPool, conf: string, id: string, file: string, progress?: Progress): Promise<ImageRecord> {
  const inspection = await inspectImage(file);
  const format = inspection.format === 'qcow2' ? 'qcow2' : 'raw';
  const length = inspection.format === 'qcow2' ? inspection.virtualSize : (await stat(file)).size;
  const virtualSize = Math.ceil(length / sectorSize) * sectorSize;
  const generation = await freeGeneration(pool, id);
  const name = imageName(id, generation);
  return pool.making(name, async (bridge) => {
    await bridge.createImage(pool.place, name, virtualSize);
    await run(convertArgv({ conf, file, format, place: pool.place, name }), {
      timeout: convertDeadline,
      onLine: (line) => {
        const percent = /\(([\d.]+)\/100%\)/.exec(line)?.[1];
        if (percent) progress?.(Number(percent), 100);
      },
    });
    await bridge.snapshot(pool.place, name, imageSnapshot);
    const used = (await bridge.info(pool.place, [name], { used: true }))[name]?.used ?? 0;
    const record: ImageRecord = { id, generation, size: virtualSize, used };
    await pool.setImage(record);
    return record;
  });
}

type Conversion = { conf: string; file: string; format: string; place: { pool: string; namespace?: string }; name: string };

/** Pure. The image is new and empty, so zeros need not be written. */
export const convertArgv = ({ conf, file, format, place, name }: Conversion): [string, ...string[]] => [
  'qemu-img',
  'convert',
  ...['-p', '-n', '--target-is-zero', '-W', '-m', '8', '-t', 'none'],
  ...['-f', format, file, '--target-image-opts'],
  `driver=raw,file.driver=rbd,file.pool=${place.pool}${place.namespace ? `,file.namespace=${place.namespace}` : ''},file.image=${name},file.conf=${conf.replaceAll(',', ',,')},file.user=admin`,
];

/** The first number that no image of this id, however deleted, still has. */
async function freeGeneration(pool: RbdPool, id: string): Promise<number> {
  const names = await (await pool.bridge()).listImages(pool.place);
  const living = new Set<string>();
  for (const name of names) if (name.startsWith(`img-${id}.g`)) living.add(name);
  for (let generation = 1; generation <= living.size; generation++) {
    const name = imageName(id, generation);
    // What a crash left can be removed; what clones lie on cannot.
    if (!living.has(name) || (await (await pool.bridge()).removeImage(pool.place, name))) return generation;
  }
  return living.size + 1;
}

/** The image to clone. @throws CroftError `not-found` */
export function imageOf(pool: RbdPool, imageId: string): ImageRecord {
  const record = pool.images.get(imageId);
  if (!record) throw new CroftError('not-found', `There is no image ${imageId} in this pool.`);
  return record;
}

export async function deleteImage(pool: RbdPool, imageId: string): Promise<void> {
  assertId(imageId);
  await pool.locks.with([`image:${imageId}`], async () => {
    if (pool.images.has(imageId)) await pool.removeImage(imageId);
  });
  await pool.collect();
}
