/** KubeVirt's `firmware.kernelBoot` and the flat one of `/v1`. Pure. */
import type { KernelBoot } from '../../../appliance/resources/guest-features.ts';
import type { KernelBoot as FlatKernelBoot } from '../../schemas/vm.ts';
import { compact } from './common.ts';

export const projectKernelBoot = (boot: KernelBoot | undefined): FlatKernelBoot | undefined =>
  boot &&
  compact({
    image: boot.container.image,
    kernel: boot.container.kernelPath,
    initrd: boot.container.initrdPath,
    args: boot.kernelArgs,
  });

export const kernelBootOf = ({ image, kernel, initrd, args }: FlatKernelBoot): KernelBoot => ({
  ...(args === undefined ? {} : { kernelArgs: args }),
  container: { image, kernelPath: kernel, ...(initrd === undefined ? {} : { initrdPath: initrd }) },
});
