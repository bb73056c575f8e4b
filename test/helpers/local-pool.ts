/** A `local` pool in a temporary directory, its volumes written and read by qemu-io through the graph QEMU would get. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../appliance/host/exec.ts';
import type { BlockdevGraph, VolumeDriver } from '../../storage/driver.ts';
import { createLocalDriver } from '../../storage/local/driver.ts';
import type { DriverUnderTest } from '../contract/volume-driver.ts';

/** The graph as one nested json: pseudo-protocol file name, which qemu-io opens as QEMU would. */
function nested(graph: BlockdevGraph): string {
  const named = new Map<string, Record<string, unknown>>();
  for (const node of graph.nodes) {
    const resolve = (value: unknown): unknown => (typeof value === 'string' ? named.get(value) : value);
    const { 'node-name': name, ...rest } = node;
    named.set(name, { ...rest, ...('file' in rest ? { file: resolve(rest.file), backing: resolve(rest.backing) } : {}) });
  }
  return `json:${JSON.stringify(named.get(graph.top))}`;
}

async function qemuIo(driver: VolumeDriver, id: string, command: string): Promise<string> {
  const graph = await driver.blockdev(id, 'disk', undefined);
  const { stdout } = await run(['qemu-io', '-c', command, nested(graph)]);
  return stdout;
}

export async function setupLocal(): Promise<DriverUnderTest & { root: string }> {
  const root = await mkdtemp(join(tmpdir(), 'croft-local-'));
  const path = join(root, 'pool');
  const make = (): VolumeDriver => createLocalDriver({ path, reserve: 0 });
  return {
    root: path,
    driver: make(),
    reopen: make,
    async write(driver, id, offset, length, byte) {
      await qemuIo(driver, id, `write -P ${byte} ${offset} ${length}`);
    },
    async reads(driver, id, offset, length, byte) {
      return !(await qemuIo(driver, id, `read -P ${byte} ${offset} ${length}`)).includes('verification failed');
    },
    async imageFile(size, byte) {
      const file = join(root, `image-${randomBytes(4).toString('hex')}.raw`);
      const handle = await open(file, 'w');
      await handle.truncate(size);
      await handle.write(Buffer.alloc(2 ** 20, byte), 0, 2 ** 20, 0);
      await handle.close();
      return file;
    },
    cleanup: () => rm(root, { recursive: true, force: true }),
  };
}
