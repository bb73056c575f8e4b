/**
 * A snapshot's disk as a file of its own, flat. The chain is handed to qemu-img explicitly, layer by layer, as to a
 * guest: what a header says about its backing file is never followed, for the guest's QEMU could have written it.
 */
import { open } from 'node:fs/promises';
import { run } from '../../appliance/host/exec.ts';
import { CroftError } from '../../appliance/errors.ts';
import type { ExportFormat, ExportOptions } from '../driver.ts';
import { snapshotOf } from './generations.ts';
import type { LocalPool } from './pool.ts';
import { chainOf } from './record.ts';

const deadline = 6 * 60 * 60 * 1000;

const optionsOf: Record<ExportFormat, string[]> = {
  qcow2: ['-O', 'qcow2'],
  vmdk: ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
};

/** See VolumeDriver.exportSnapshot. */
export async function exportSnapshot(
  pool: LocalPool,
  id: string,
  snapshotId: string,
  { file, format, progress, signal }: ExportOptions,
): Promise<void> {
  const { generation } = snapshotOf(pool.record(id), snapshotId);
  const layer = { volume: id, generation };
  // Neither collected nor folded into another while it is read.
  pool.reserved.add(layer);
  pool.exporting.set(id, (pool.exporting.get(id) ?? 0) + 1);
  try {
    let graph: Record<string, unknown> | null = null;
    for (const each of chainOf(pool.records, layer)) {
      const path = pool.files.layer(each);
      await assertOwnData(path);
      graph = { driver: 'qcow2', file: { driver: 'file', filename: path }, backing: graph };
    }
    await run(['qemu-img', 'convert', '-p', ...optionsOf[format], `json:${JSON.stringify(graph)}`, file], {
      timeout: deadline,
      ...(signal ? { signal } : {}),
      onLine: (line) => {
        const percent = /\(([\d.]+)\/100%\)/.exec(line)?.[1];
        if (percent) progress?.(Number(percent), 100);
      },
    });
  } finally {
    pool.reserved.delete(layer);
    const left = (pool.exporting.get(id) ?? 1) - 1;
    if (left === 0) pool.exporting.delete(id);
    else pool.exporting.set(id, left);
  }
}

/** A header that names a data file (qcow2.txt, incompatible bit 2) would have another file read. */
async function assertOwnData(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    const header = Buffer.alloc(80);
    await handle.read(header, 0, header.length, 0);
    const sound =
      header.readUInt32BE(0) === 0x514649fb && (header.readUInt32BE(4) < 3 || (header.readUInt32BE(76) & 0b100) === 0);
    if (!sound) throw new CroftError('internal', 'A disk of the pool has a header that is not ours.', { cause: new Error(path) });
  } finally {
    await handle.close();
  }
}
