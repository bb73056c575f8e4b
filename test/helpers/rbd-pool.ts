/** A Ceph cluster on files in a temporary directory, and pools on it for the driver's contract. Use it inside a network namespace. */
import { randomBytes, randomUUID } from 'node:crypto';
import { chmod, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../appliance/host/exec.ts';
import { silentLogger } from '../../appliance/host/logger.ts';
import { CephCluster } from '../../storage/ceph/cluster.ts';
import type { BlockdevGraph, DiskWish, VolumeDriver } from '../../storage/driver.ts';
import { createRbdDriver } from '../../storage/rbd/driver.ts';
import type { DriverUnderTest } from '../contract/volume-driver.ts';

const gib = 2 ** 30;

export type CephBox = Awaited<ReturnType<typeof makeCephBox>>;

export async function makeCephBox(disks = 2) {
  const base = await mkdtemp(join(tmpdir(), 'croft-c-'));
  await chmod(base, 0o711); // Ceph's account and the guests' pass through.
  const root = join(base, 'ceph');
  const logger = silentLogger();
  const disk = (name: string): DiskWish => ({ id: randomUUID(), path: join(base, name), size: 4 * gib });
  const wishes = Array.from({ length: disks }, (_, index) => disk(`disk${index}`));
  let cluster = new CephCluster({ root, logger, box: 'alone' });
  const driver = (options: { namespace?: string; disks?: DiskWish[] } = {}): VolumeDriver =>
    createRbdDriver({
      pool: 'replicated',
      replicas: 2,
      disks: options.disks ?? wishes,
      cluster,
      logger,
      ...(options.namespace ? { namespace: options.namespace } : {}),
    });
  return {
    base,
    wishes,
    disk,
    driver,
    get cluster() {
      return cluster;
    },
    /** As when the service is restarted: another object on the same directory. */
    async restart(): Promise<void> {
      await cluster.close();
      cluster = new CephCluster({ root, logger, box: 'alone' });
    },
    async tearDown(): Promise<void> {
      await cluster.stopDaemons();
      await rm(base, { recursive: true, force: true });
    },
  };
}

/** The graph as the one line qemu-io opens. */
const imageOptions = (graph: BlockdevGraph): string => {
  const [file] = graph.nodes;
  const options = { driver: 'raw', file: Object.fromEntries(Object.entries(file ?? {}).filter(([key]) => key !== 'node-name')) };
  return `json:${JSON.stringify(options)}`;
};

export async function qemuIo(driver: VolumeDriver, id: string, ...commands: string[]): Promise<string> {
  const graph = await driver.blockdev(id, 'disk', undefined);
  const { stdout } = await run(['qemu-io', ...commands.flatMap((command) => ['-c', command]), imageOptions(graph)]);
  return stdout;
}

/** One driver of the box in a namespace of its own within the pool. */
export async function driverUnderTest(box: CephBox): Promise<DriverUnderTest> {
  const namespace = `t-${randomBytes(4).toString('hex')}`;
  const make = () => box.driver({ namespace });
  return {
    driver: make(),
    reopen: make,
    async write(driver, id, offset, length, byte) {
      await qemuIo(driver, id, `write -P ${byte} ${offset} ${length}`);
    },
    async reads(driver, id, offset, length, byte) {
      return !(await qemuIo(driver, id, `read -P ${byte} ${offset} ${length}`)).includes('verification failed');
    },
    async imageFile(size, byte) {
      const file = join(box.base, `image-${randomBytes(4).toString('hex')}.raw`);
      const handle = await open(file, 'w');
      await handle.truncate(size);
      await handle.write(Buffer.alloc(2 ** 20, byte), 0, 2 ** 20, 0);
      await handle.close();
      return file;
    },
    cleanup: async () => undefined, // The namespace goes with the cluster.
  };
}
