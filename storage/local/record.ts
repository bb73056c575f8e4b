/**
 * volume.json: the binding of a volume's name to its generations, and all questions about it that need no disk.
 * A generation is one qcow2 file, `gen-N.qcow2`; only the head's is written to. N is never used twice.
 */
import { Type, type Static } from 'typebox';

/** What a generation lies on: an image, or a frozen generation of this or (a clone's) another volume. */
export const Parent = Type.Union([
  Type.Object({ image: Type.String() }),
  Type.Object({ volume: Type.String(), generation: Type.Integer() }),
  Type.Null(),
]);
export type Parent = Static<typeof Parent>;

export const VolumeRecord = Type.Object({
  id: Type.String(),
  createdAt: Type.String(),
  /** The generation that guests write to. */
  head: Type.Integer(),
  /** The number the next generation gets. */
  next: Type.Integer(),
  /** Generation number → what it lies on. */
  layers: Type.Record(Type.String(), Parent),
  snapshots: Type.Array(
    Type.Object({ id: Type.String(), generation: Type.Integer(), size: Type.Integer(), createdAt: Type.String() }),
  ),
  /** A live snapshot under way: QEMU may or may not have moved on to this generation yet. */
  pending: Type.Optional(
    Type.Object({ snapshotId: Type.String(), generation: Type.Integer(), size: Type.Integer(), createdAt: Type.String() }),
  ),
  /** Deleted by its owner; what is left serves clones. */
  deleted: Type.Optional(Type.Boolean()),
});
export type VolumeRecord = Static<typeof VolumeRecord>;

export type Records = ReadonlyMap<string, VolumeRecord>;

/** One file of a chain. */
export type Layer = { image: string } | { volume: string; generation: number };

export const layerKey = (layer: Layer): string =>
  'image' in layer ? `image/${layer.image}` : `${layer.volume}/${layer.generation}`;

/** The files under (and with) `layer`, bottom first. @throws Error when a record is missing: the pool is damaged */
export function chainOf(records: Records, layer: Layer): Layer[] {
  const chain: Layer[] = [];
  for (let at: Parent = layer; at !== null; ) {
    chain.unshift(at);
    if ('image' in at) break;
    const parent: Parent | undefined = records.get(at.volume)?.layers[at.generation];
    if (parent === undefined) throw new Error(`volume ${at.volume} has no generation ${at.generation}`);
    at = parent;
  }
  return chain;
}

/** Every file that a living volume, one of its snapshots, or one of `extra` needs. */
export function reachable(records: Records, extra: readonly Layer[] = []): Set<string> {
  const seen = new Set<string>();
  const roots: Layer[] = [...extra];
  for (const record of records.values()) {
    const own = [record.pending, ...record.snapshots].flatMap((found) => (found ? [found.generation] : []));
    if (!record.deleted) roots.push(...[record.head, ...own].map((generation) => ({ volume: record.id, generation })));
  }
  for (const root of roots) {
    let at: Parent | undefined = root;
    while (at && !seen.has(layerKey(at))) {
      seen.add(layerKey(at));
      at = 'image' in at ? null : records.get(at.volume)?.layers[at.generation];
    }
  }
  return seen;
}

/** Generations that nothing needs any more. */
export function garbage(records: Records, extra: readonly Layer[] = []): { volume: string; generation: number }[] {
  const needed = reachable(records, extra);
  return [...records.values()].flatMap((record) =>
    Object.keys(record.layers)
      .map((generation) => ({ volume: record.id, generation: Number(generation) }))
      .filter((layer) => !needed.has(layerKey(layer))),
  );
}

/** How many other files lie directly on `layer`. */
export const childrenOf = (records: Records, layer: Layer): { volume: string; generation: number }[] =>
  [...records.values()].flatMap((record) =>
    Object.entries(record.layers)
      .filter(([, parent]) => parent !== null && layerKey(parent) === layerKey(layer))
      .map(([generation]) => ({ volume: record.id, generation: Number(generation) })),
  );

/** True when files of other volumes lie on `layer`, directly or not. */
export const isShared = (records: Records, layer: { volume: string; generation: number }): boolean =>
  childrenOf(records, layer).some((child) => child.volume !== layer.volume || isShared(records, child));

/**
 * A generation of the volume's own head chain that can be folded into the one on top of it: frozen, not a
 * snapshot, nothing else lies on it. Topmost first, because that copies the least.
 */
export function mergeable(records: Records, record: VolumeRecord): { from: number; into: number } | undefined {
  const own = chainOf(records, { volume: record.id, generation: record.head }).filter(
    (layer): layer is { volume: string; generation: number } => !('image' in layer) && layer.volume === record.id,
  );
  for (let index = own.length - 1; index > 0; index--) {
    const into = own[index] as { volume: string; generation: number };
    const from = own[index - 1] as { volume: string; generation: number };
    const kept = record.snapshots.some((snapshot) => snapshot.generation === from.generation);
    // A clone's guest may have `into` open: its file must not change.
    if (!kept && childrenOf(records, from).length === 1 && !isShared(records, into))
      return { from: from.generation, into: into.generation };
  }
  return undefined;
}
