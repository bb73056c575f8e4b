/** Grows a disk while its guest runs: QEMU and the guest see the new size at once. */
import { messageOf } from '../errors.ts';
import { persistentVolumeClaim } from '../resources/data-volume.ts';
import type { VirtualMachineInstance } from '../resources/virtual-machine.ts';
import { formatBytes, humanBytes } from '../resources/quantity.ts';
import { editStatus } from '../store/edit.ts';
import type { VmContext } from './context.ts';
import type { resolveDisks } from './guest-devices.ts';
import type { Guest } from './hypervisor.ts';
import { stopShortening } from './shorten.ts';
import { runSteps } from './snapshots/take.ts';

type ReadyDisk = Awaited<ReturnType<typeof resolveDisks>>['ready'][number];

/** Called with the VM's lock held. A failure is told and doesn't keep other devices from being brought up to date. */
export async function growDisk(
  context: VmContext,
  instance: VirtualMachineInstance,
  guest: Guest,
  { wish, volume }: ReadyDisk,
): Promise<void> {
  const { wished, driver, volumeId } = volume;
  const { name, namespace } = instance.metadata;
  if (wished === undefined) return;
  const about = { kind: 'VirtualMachine', name, project: namespace, id: guest.id };
  try {
    await stopShortening(guest);
    const node = (await guest.topNodes()).get(wish.volume);
    await runSteps(guest, await driver.grow(volumeId, wished, node), []);
  } catch (error) {
    context.logger.warn({ err: error, vm: guest.id, disk: wish.volume }, 'a disk could not be grown');
    const message = `Disk ${wish.volume} could not be grown to ${humanBytes(wished)}: ${messageOf(error)}`;
    context.events.record({ type: 'Warning', reason: 'FailedGrow', message, about });
    return;
  }
  await editStatus(context.store, persistentVolumeClaim, { name: wish.claim, namespace }, (draft) => {
    draft.status = { ...draft.status, capacity: { storage: formatBytes(wished) } };
  });
  context.events.record({
    type: 'Normal',
    reason: 'DiskGrown',
    message: `Disk ${wish.volume} has ${humanBytes(wished)} now.`,
    about,
  });
}
