/** Releases of an installed appliance; a box that was not installed from a medium has none. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createUploads } from '../../storage/images/uploads.ts';
import type { Config } from '../config.ts';
import type { Logger } from '../host/logger.ts';
import { type ImageUploads, type UpdatePort, updateUpload } from '../ports.ts';
import type { Tasks } from '../reconcile/tasks.ts';
import type { Stack } from './stack.ts';

/** Bytes: what fits into a slot (installer/iso/build.ts) and the bundle's head. */
const largestBundle = 4 * 2 ** 30;

type Parts = { config: Config; tasks: Tasks; nodeName: string; logger: Logger; images: ImageUploads };
/** `uploads`: images', and bundles' under their own id. */
type Made = { updates?: UpdatePort; uploads: ImageUploads };

export async function startUpdates({ config, tasks, nodeName, logger, images }: Parts, stack: Stack): Promise<Made> {
  const commandLine = await readFile('/proc/cmdline', 'utf8');
  if (!/\bcroft\.slot=/.test(commandLine)) return { uploads: images };
  const directory = join(config.data, 'updates');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const bundles = createUploads({ directory, maxSize: largestBundle });
  stack.push('uploads of updates', () => bundles.stop());
  // Loaded only here: other boxes have nothing to update.
  const [{ createUpdates }, { thisMachine }] = await Promise.all([
    import('../../installer/update/box.ts'),
    import('../../installer/update/medium.ts'),
  ]);
  const updates = createUpdates({
    target: await thisMachine(commandLine),
    tasks,
    uploads: bundles,
    downloaded: join(config.data, 'incoming.update'),
    nodeName,
    logger,
  });
  stack.push('updates', () => updates.stop());
  const of = (id: string): ImageUploads => (id === updateUpload ? bundles : images);
  const uploads: ImageUploads = {
    begin: (id, size) => of(id).begin(id, size),
    state: (id) => of(id).state(id),
    append: (id, offset, bytes) => of(id).append(id, offset, bytes),
    drop: (id) => of(id).drop(id),
  };
  return { updates, uploads };
}
