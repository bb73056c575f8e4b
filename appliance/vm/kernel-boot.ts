/** A guest's own kernel (upstream's `firmware.kernelBoot`): from the Image that its spec names to files QEMU can open. */
import { CroftError } from '../errors.ts';
import { image, poolOfImage } from '../resources/croft-kinds.ts';
import { idLabel } from '../resources/identity.ts';
import type { InstanceSpec } from '../resources/virtual-machine.ts';
import type { VmContext } from './context.ts';
import type { GuestSpec } from './hypervisor.ts';

/** @throws CroftError `unavailable` while the image is not ready, `not-found` for an image or a path in it that isn't there */
export async function kernelOf(
  { store, volumes }: Pick<VmContext, 'store' | 'volumes'>,
  spec: InstanceSpec,
): Promise<GuestSpec['kernel']> {
  const wish = spec.domain.firmware?.kernelBoot;
  if (!wish) return undefined;
  const { image: name, kernelPath, initrdPath } = wish.container;
  const found = await store.get(image, name);
  if (!found) throw new CroftError('not-found', `Its kernel is to come from image ${name}, which is not there.`);
  const { phase, message } = found.status ?? {};
  const id = found.metadata.labels?.[idLabel];
  if (phase !== 'Ready' || id === undefined) {
    throw new CroftError(
      'unavailable',
      `Its kernel is to come from image ${name}, which is not ready${message ? `: ${message}` : '.'}`,
    );
  }
  const paths = [kernelPath, ...(initrdPath === undefined ? [] : [initrdPath])];
  const [file, initrd] = await filesOf(volumes, name, { id, pool: poolOfImage(found) }, paths);
  return {
    file: file as string,
    ...(initrd === undefined ? {} : { initrd }),
    ...(wish.kernelArgs === undefined ? {} : { args: wish.kernelArgs }),
  };
}

async function filesOf(
  volumes: VmContext['volumes'],
  name: string,
  from: { id: string; pool: string },
  paths: string[],
): Promise<string[]> {
  try {
    return await volumes.filesOf(from, paths);
  } catch (error) {
    if (!(error instanceof CroftError)) throw error;
    throw new CroftError(error.code, `Image ${name}: ${error.message}`, { cause: error });
  }
}
