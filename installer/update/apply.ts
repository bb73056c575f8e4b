/**
 * Puts an update into the slot that does not run. Everything is checked before the first byte is written: signature,
 * the whole image's checksum, variant, room. From then on the slot may not be started until it is written, read back
 * and compared; ended at any moment, the machine starts what it started before. The next start tries the new release
 * once, and the health gate decides (../health.ts).
 */
import { open, writeFile } from 'node:fs/promises';
import type { KeyObject } from 'node:crypto';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { readEnvironment, writeEnvironment } from '../environment-block.ts';
import type { Release } from '../release.ts';
import { fromEnvironment, otherSlot, retire, type Slot, stage, toEnvironment } from '../slots.ts';
import { checkImage, imageAt, type Manifest, readManifest, sha256Of } from './bundle.ts';

export type UpdateTarget = {
  running: Slot;
  /** Device (or image) of each slot, and of the boot environment. */
  slots: Record<Slot, string>;
  environment: string;
  /** The release that runs. */
  release: Release;
  keys: readonly KeyObject[];
};

export type UpdateOptions = {
  /** `fraction` 0 to 1 of all, and the present step in words. */
  progress?: (fraction: number, step: string) => void;
  /** Aborts between and within steps. */
  signal?: AbortSignal;
};

export type Update = { slot: Slot; release: Release };

const block = 4 * 1024 * 1024;

/** Checks everything that can be checked without writing. @throws CroftError see applyUpdate */
export async function checkUpdate(bundle: string, target: UpdateTarget, signal?: AbortSignal): Promise<Manifest> {
  const manifest = await readManifest(bundle, target.keys);
  const { release, image } = manifest;
  const { release: present, running, slots } = target;
  if (release.variant !== present.variant) {
    throw new CroftError('invalid-input', `${bundle} is a ${release.variant} release; this box runs a ${present.variant} one.`);
  }
  const room = await sizeOf(slots[otherSlot(running)]);
  if (image.size > room) {
    throw new CroftError(
      'insufficient-storage',
      `The release needs ${image.size} bytes; slot ${otherSlot(running)} has ${room}.`,
    );
  }
  await checkImage(bundle, manifest, signal);
  return manifest;
}

/**
 * @throws CroftError `invalid-input` (no update, or of another variant), `signature-refused`, `checksum-mismatch`,
 * `insufficient-storage`, `invalid-state` while the running release is not committed
 */
export async function applyUpdate(
  bundle: string,
  target: UpdateTarget,
  { progress, signal }: UpdateOptions = {},
): Promise<Update> {
  const slot = otherSlot(target.running);
  progress?.(0, 'checking the update');
  const { release, image } = await checkUpdate(bundle, target, signal);
  const state = fromEnvironment(await readEnvironment(target.environment));
  if (state.good !== target.running) {
    throw new CroftError('invalid-state', 'The running release is not confirmed yet; wait for its health check.');
  }
  await writeEnvironment(target.environment, toEnvironment(retire(state, slot)));
  await copyImage(
    bundle,
    target.slots[slot],
    image.size,
    (fraction) => progress?.(0.2 + fraction * 0.5, `writing slot ${slot}`),
    signal,
  );
  progress?.(0.7, `reading slot ${slot} back`);
  await forgetCached(target.slots[slot]);
  if ((await sha256Of(target.slots[slot], 0, image.size, signal)) !== image.sha256) {
    throw new CroftError('checksum-mismatch', `Slot ${slot} does not hold what was written to it: the disk is failing.`);
  }
  await writeEnvironment(target.environment, toEnvironment(stage(state, slot)));
  progress?.(1, `slot ${slot} is tried at the next start`);
  return { slot, release };
}

/** The other slot's release is tried at the next start. @throws CroftError `invalid-state` when there is none that may be */
export async function goBack(target: UpdateTarget): Promise<Slot> {
  const other = otherSlot(target.running);
  const state = fromEnvironment(await readEnvironment(target.environment));
  if (state.good !== target.running || !state.slots[other].ok) {
    throw new CroftError('invalid-state', `Slot ${other} holds no release that can be started; there is nothing to go back to.`);
  }
  await writeEnvironment(target.environment, toEnvironment(stage(state, other)));
  return other;
}

async function copyImage(
  bundle: string,
  device: string,
  size: number,
  progress: (fraction: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const from = await open(bundle, 'r');
  const to = await open(device, 'r+');
  try {
    const buffer = Buffer.alloc(block);
    for (let done = 0; done < size; ) {
      signal?.throwIfAborted();
      const { bytesRead } = await from.read(buffer, 0, Math.min(block, size - done), imageAt + done);
      if (bytesRead === 0) throw new CroftError('checksum-mismatch', `${bundle} became shorter while it was copied.`);
      await to.write(buffer, 0, bytesRead, done);
      done += bytesRead;
      progress(done / size);
    }
    await to.sync();
  } finally {
    await from.close();
    await to.close();
  }
}

/** So that what is read back comes from the disk. */
async function forgetCached(device: string): Promise<void> {
  if (!device.startsWith('/dev/')) return;
  await run(['blockdev', '--flushbufs', device]);
  await writeFile('/proc/sys/vm/drop_caches', '3');
}

/** Bytes of a device or image. */
async function sizeOf(device: string): Promise<number> {
  if (device.startsWith('/dev/')) return Number((await run(['blockdev', '--getsize64', device])).stdout);
  const handle = await open(device, 'r');
  try {
    return (await handle.stat()).size;
  } finally {
    await handle.close();
  }
}
