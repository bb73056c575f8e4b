/** The devices of one running guest: hot-plug.ts' steps, and the wait for the guest to let go of a device. */
import { EventEmitter } from 'node:events';
import type { BlockdevGraph } from '../../storage/driver.ts';
import { CroftError } from '../errors.ts';
import type { GuestDisk, GuestNic } from '../vm/hypervisor.ts';
import { isNodeOf, parseDeviceId } from './devices.ts';
import {
  attachDisk,
  attachNic,
  changeMedium,
  pluggedDevices,
  releaseBackend,
  removeOrphans,
  requestUnplug,
  topNodes,
  type PluggedDevice,
  type Qmp,
} from './hot-plug.ts';

/** ms; a guest under load takes a few seconds, one without an operating system never does. */
const unplugTimeout = 20_000;

export class DevicePlug {
  readonly #qmp: Qmp;
  readonly #deleted = new EventEmitter();

  constructor(qmp: Qmp) {
    this.#qmp = qmp;
    this.#deleted.setMaxListeners(0);
  }

  attachDisk(disk: GuestDisk): Promise<void> {
    return attachDisk(this.#qmp, disk);
  }

  changeMedium(name: string, graph: BlockdevGraph | undefined): Promise<void> {
    return changeMedium(this.#qmp, name, graph);
  }

  attachNic(nic: GuestNic): Promise<void> {
    return attachNic(this.#qmp, nic);
  }

  async devices(kind: PluggedDevice['kind']): Promise<PluggedDevice[]> {
    return (await pluggedDevices(this.#qmp)).filter((device) => device.kind === kind);
  }

  /** Until the guest has let go and QEMU holds nothing of it. Idempotent. @throws CroftError `command-timeout` */
  async detach(kind: PluggedDevice['kind'], name: string): Promise<void> {
    const device = (await this.devices(kind)).find((candidate) => candidate.name === name);
    if (!device) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onDeleted = (error?: Error) => (error ? reject(error) : resolve());
    this.#deleted.once(device.id, onDeleted);
    const timer = setTimeout(
      () =>
        reject(
          new CroftError('command-timeout', `The guest did not let go of ${kind} ${name} within ${unplugTimeout / 1000} s.`),
        ),
      unplugTimeout,
    );
    try {
      await requestUnplug(this.#qmp, device.id);
      await promise;
    } finally {
      clearTimeout(timer);
      this.#deleted.off(device.id, onDeleted);
    }
  }

  /** To be called at DEVICE_DELETED, also one that nobody waits for any more. */
  async onDeleted(id: string): Promise<void> {
    const device = parseDeviceId(id);
    if (!device) return;
    try {
      await releaseBackend(this.#qmp, device);
      this.#deleted.emit(id);
    } catch (error) {
      this.#deleted.emit(id, error);
    }
  }

  removeOrphans(): Promise<void> {
    return removeOrphans(this.#qmp);
  }

  /** The node each disk's device uses, by the disk's name. */
  topNodes(): Promise<Map<string, string>> {
    return topNodes(this.#qmp);
  }

  /** The disk that a block node is part of; undefined when it is none, or QEMU doesn't say. */
  async diskOfNode(node: string): Promise<string | undefined> {
    try {
      return (await this.devices('disk')).find(({ index }) => isNodeOf(index, node))?.name;
    } catch {
      return undefined; // It is for a message only, and QEMU has its own trouble now.
    }
  }
}
