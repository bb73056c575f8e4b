/**
 * Shortening the chain under a running guest. Each layer costs every read of unwritten space a lookup, and a ninth is
 * refused. QEMU copies what a layer has into the one above (`block-stream`) while the guest works; then the record
 * is changed. Cut off anywhere, old and new chain read the same: the layer above only gains what it would read anyway.
 *
 * First goes what no snapshot and no clone needs. Where everything below is needed and the chain is long, the head gets
 * a copy of all of it: it then lies on its image alone, and the snapshots keep their layers.
 */
import { chmod, open, stat } from 'node:fs/promises';
import type { HostStep, QmpStep } from '../driver.ts';
import { nodeNameOf, prefixOf } from './graph.ts';
import type { LocalPool } from './pool.ts';
import { chainOf, layerKey, mergeable, type Layer, type Records, type VolumeRecord } from './record.ts';

/** Layers from which on a head gets a chain of its own: some below the limit, so that snapshots still find room. */
export const longChain = 6;

export type Shortening = {
  /** Generation that receives the data. */
  into: number;
  /** What it lies on afterwards; null: nothing. */
  base: Layer | null;
  /** Place of `base` in the head's chain, bottom first; undefined for null. */
  depth: number | undefined;
};

/** What to shorten next; undefined when the chain is as short as it needs to be. Pure. */
export function planShortening(records: Records, record: VolumeRecord): Shortening | undefined {
  if (record.pending) return undefined;
  const chain = chainOf(records, { volume: record.id, generation: record.head });
  const placeOf = (layer: Layer | null): number | undefined =>
    layer === null ? undefined : chain.findIndex((one) => layerKey(one) === layerKey(layer));
  const pair = mergeable(records, record);
  if (pair) {
    const base = record.layers[pair.from] ?? null;
    return { into: pair.into, base, depth: placeOf(base) };
  }
  if (chain.length < longChain) return undefined;
  const bottom = chain[0] as Layer;
  const base = 'image' in bottom ? bottom : null;
  return { into: record.head, base, depth: placeOf(base) };
}

const jobOf = (id: string, { into, depth }: Shortening): string => `shorten.${id}.${into}.${depth ?? 'none'}`;

/** A job's id read back; undefined for another volume's or another kind of job. Pure. */
export function parseJob(id: string, job: string): { into: number; depth: number | undefined } | undefined {
  const match = /^shorten\.(.+)\.(\d+)\.(\d+|none)$/.exec(job);
  if (match?.[1] !== id) return undefined;
  return { into: Number(match[2]), depth: match[3] === 'none' ? undefined : Number(match[3]) };
}

/** See VolumeDriver.shorten. */
export function shorten(
  pool: LocalPool,
  id: string,
  node: string,
): { job: string; before: HostStep; stream: QmpStep } | undefined {
  const record = pool.record(id);
  const plan = planShortening(pool.records, record);
  if (!plan) return undefined;
  const { into, base, depth } = plan;
  const prefix = prefixOf(node);
  const job = jobOf(id, plan);
  const path = pool.files.layer({ volume: id, generation: into });
  const onto =
    base === null ? {} : { 'base-node': nodeNameOf(prefix, id, base, depth ?? 0), 'backing-file': pool.files.backing(id, base) };
  return {
    job,
    // A frozen layer is read-only to its guest's user; for the time of the job QEMU opens it for writing.
    before: { host: 'let QEMU write the layer', run: async () => chmod(path, 0o600) },
    stream: {
      qmp: {
        execute: 'block-stream',
        arguments: {
          'job-id': job,
          device: nodeNameOf(prefix, id, { volume: id, generation: into }, 0),
          'filter-node-name': `${prefix}-s`,
          'auto-dismiss': false,
          ...onto,
        },
      },
    },
  };
}

/** The name of the backing file in a qcow2 header; undefined where there is none (QEMU docs/interop/qcow2). */
async function backingOf(path: string): Promise<string | undefined> {
  const handle = await open(path, 'r');
  try {
    const header = Buffer.alloc(20);
    await handle.read(header, 0, header.length, 0);
    const length = header.readUInt32BE(16);
    if (length === 0) return undefined;
    const name = Buffer.alloc(Math.min(length, 1023));
    await handle.read(name, 0, name.length, Number(header.readBigUInt64BE(8)));
    return name.toString();
  } finally {
    await handle.close();
  }
}

/** See VolumeDriver.shortened. @throws Error when the layer itself doesn't say so: then nothing may be let go of */
export async function shortened(pool: LocalPool, id: string, job: string): Promise<void> {
  const parsed = parseJob(id, job);
  if (!parsed) return;
  const { into, depth } = parsed;
  await pool.locks.with([id], async () => {
    const record = pool.record(id);
    if (!(into in record.layers)) return;
    const chain = chainOf(pool.records, { volume: id, generation: record.head });
    const base = depth === undefined ? null : (chain[depth] ?? null);
    const path = pool.files.layer({ volume: id, generation: into });
    const said = await backingOf(path);
    const wished = base === null ? undefined : pool.files.backing(id, base);
    if (said !== wished)
      throw new Error(`${path} lies on ${said ?? 'nothing'}, not on ${wished ?? 'nothing'}: it is left as it is`);
    await pool.change(id, (current) => ({ ...current, layers: { ...current.layers, [into]: base } }));
    if (into !== record.head) await chmod(path, (await stat(path)).mode & 0o777 & 0o444 || 0o400);
  });
  await pool.collect();
}
