/**
 * Disks and images of an rbd pool as files, read by qemu-img through librbd. What is read is a clone made for it and
 * removed after it: so the snapshot may be deleted meanwhile, RBD keeps what the clone lies on.
 */
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import type { ExportFormat, ExportOptions } from '../driver.ts';
import type { Place } from './bridge/client.ts';
import { imageOf } from './images.ts';
import type { RbdPool } from './pool.ts';
import { exportName, generationName, imageName, imageSnapshot, snapshotName } from './record.ts';

const deadline = 6 * 60 * 60 * 1000;

const optionsOf: Record<ExportFormat | 'raw', string[]> = {
  raw: ['-O', 'raw'],
  qcow2: ['-O', 'qcow2'],
  vmdk: ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
};

type Reading = { conf: string; place: Place; name: string; file: string; format: ExportFormat | 'raw' };

/** Pure. `conf`: the administrator's ceph.conf. */
export const readArgv = ({ conf, place, name, file, format }: Reading): [string, ...string[]] => [
  'qemu-img',
  'convert',
  '-p',
  '--image-opts',
  `driver=raw,file.driver=rbd,file.pool=${place.pool}${place.namespace ? `,file.namespace=${place.namespace}` : ''},file.image=${name},file.conf=${conf.replaceAll(',', ',,')},file.user=admin`,
  ...optionsOf[format],
  file,
];

/** See VolumeDriver.exportSnapshot. */
export async function exportSnapshot(
  pool: RbdPool,
  conf: string,
  id: string,
  snapshotId: string,
  options: ExportOptions,
): Promise<void> {
  const snapshot = pool.volume(id).snapshots.find((one) => one.id === snapshotId);
  if (!snapshot) throw new CroftError('not-found', `Volume ${id} has no snapshot ${snapshotId}.`);
  const from = { name: generationName(id, snapshot.generation), snapshot: snapshotName(snapshotId) };
  await readClone(pool, conf, { from, key: `${id}-${snapshotId}`, ...options });
}

/** See VolumeDriver.exportImage. */
export async function exportImage(
  pool: RbdPool,
  conf: string,
  imageId: string,
  options: { file: string; signal?: AbortSignal },
): Promise<void> {
  const image = imageOf(pool, imageId);
  const from = { name: imageName(image.id, image.generation), snapshot: imageSnapshot };
  await readClone(pool, conf, { from, key: `image-${imageId}`, format: 'raw', ...options });
}

type Read = Omit<ExportOptions, 'format'> & {
  from: { name: string; snapshot: string };
  /** What it is of: one reader of it at a time, which also removes what an earlier one left. */
  key: string;
  format: ExportFormat | 'raw';
};

async function readClone(pool: RbdPool, conf: string, { from, key, file, format, progress, signal }: Read): Promise<void> {
  const name = exportName(key);
  await pool.locks.with([name], () =>
    pool.making(name, async (bridge) => {
      await bridge.clone(pool.place, from, name);
      try {
        await run(readArgv({ conf, place: pool.place, name, file, format }), {
          timeout: deadline,
          ...(signal ? { signal } : {}),
          onLine: (line) => {
            const percent = /\(([\d.]+)\/100%\)/.exec(line)?.[1];
            if (percent) progress?.(Number(percent), 100);
          },
        });
      } finally {
        await bridge.removeImage(pool.place, name);
      }
    }),
  );
  // The snapshot may have been deleted while its clone was read.
  await pool.collect();
}
