/**
 * Moves resources from one store into another: `mirror` makes the copies in the target what the objects of the source
 * are, and touches nothing else there. It may be cut off anywhere and repeated; nobody else may write meanwhile.
 *
 * What changes: uids (so owners come first, and every text that is an old uid becomes the new one), versions,
 * generations and times of creation. What stays: names, labels (`croft.io/id` among them, by which everything outside
 * the store is named), spec, status, finalizers, and that an object is being deleted. A copy is known by an
 * annotation with the uid of what it was made from.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { CroftError, isCroftError } from '../errors.ts';
import { describe, type Kind } from '../resources/kind.ts';
import type { ObjectMeta, Resource } from '../resources/meta.ts';
import { kinds } from '../resources/registry.ts';
import { editObject, editStatus } from './edit.ts';
import type { Draft, ResourceStore } from './store.ts';

export const movedFrom = 'croft.io/moved-from';

const pageSize = 500;
const concurrency = 8;
/** ms until a removed copy must be gone. */
const removalTimeout = 30_000;

type Uids = Map<string, string>;
type Progress = (done: number, total: number) => void;

const keyOf = ({ kind, metadata }: Resource): string => `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
const kindOf = (object: Resource): Kind => (kinds as readonly Kind[]).find(({ kind }) => kind === object.kind) as Kind;
const placeOf = ({ metadata }: Resource) => ({
  name: metadata.name,
  ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
});

/** Every object of every kind. */
export async function readAll(store: ResourceStore): Promise<Resource[]> {
  const found: Resource[] = [];
  for (const kind of kinds as readonly Kind[]) {
    let next: string | undefined;
    do {
      const page = await store.list(kind, { limit: pageSize, consistent: true, ...(next ? { continue: next } : {}) });
      found.push(...page.items);
      next = page.continue;
    } while (next);
  }
  return found;
}

/** Objects in layers: the owners of each are in an earlier one. An owner that isn't among them is as good as gone. Pure. */
export function inLayers(objects: readonly Resource[]): Resource[][] {
  const byUid = new Map(objects.map((object) => [object.metadata.uid, object]));
  const depths = new Map<Resource, number>();
  const depthOf = (object: Resource, seen: readonly Resource[] = []): number => {
    const known = depths.get(object);
    if (known !== undefined) return known;
    const owners = (object.metadata.ownerReferences ?? []).flatMap(({ uid }) => byUid.get(uid) ?? []);
    // A circle has no first one: whichever is met first begins it.
    const above = owners.filter((owner) => !seen.includes(owner) && owner !== object);
    const depth = Math.max(-1, ...above.map((owner) => depthOf(owner, [...seen, object]))) + 1;
    depths.set(object, depth);
    return depth;
  };
  const layers: Resource[][] = [];
  for (const object of objects) (layers[depthOf(object)] ??= []).push(object);
  return layers;
}

/** Every text that is an old uid, as the new one. Pure. */
function withUids<T>(value: T, uids: Uids): T {
  if (typeof value === 'string') return (uids.get(value) ?? value) as T;
  if (Array.isArray(value)) return value.map((each) => withUids(each as unknown, uids)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withUids(each as unknown, uids)])) as T;
}

/** The metadata of an object's copy. */
function metadataFor({ metadata }: Resource, uids: Uids): ObjectMeta {
  const { labels, ownerReferences, finalizers } = metadata;
  const owners = withUids(
    ownerReferences?.filter(({ uid }) => uids.has(uid)),
    uids,
  );
  return {
    name: metadata.name,
    ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
    ...(labels === undefined ? {} : { labels: withUids(labels, uids) }),
    ...(finalizers?.length ? { finalizers } : {}),
    ...(owners?.length ? { ownerReferences: owners } : {}),
    annotations: { ...metadata.annotations, [movedFrom]: metadata.uid as string },
  };
}

/** The status of an object's copy; what speaks of a generation speaks of the copy's. */
function statusFor(object: Resource, copy: Resource, uids: Uids): unknown {
  const status = withUids(object.status, uids);
  const { observedGeneration } = (status ?? {}) as { observedGeneration?: number };
  if (observedGeneration === undefined) return status;
  const current = observedGeneration === object.metadata.generation;
  return { ...(status as object), observedGeneration: current ? copy.metadata.generation : 0 };
}

/** True when `whole` has all of `part`; it may have more (defaults). Pure. */
export function holds(whole: unknown, part: unknown): boolean {
  if (typeof part !== 'object' || part === null) return whole === part;
  if (typeof whole !== 'object' || whole === null || Array.isArray(whole) !== Array.isArray(part)) return false;
  if (Array.isArray(part))
    return (whole as unknown[]).length === part.length && part.every((each, at) => holds((whole as unknown[])[at], each));
  return Object.entries(part).every(([key, each]) => each === undefined || holds((whole as Record<string, unknown>)[key], each));
}

async function together<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const one = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: concurrency }, one));
}

const copiesIn = async (target: ResourceStore): Promise<Resource[]> =>
  (await readAll(target)).filter(({ metadata }) => metadata.annotations?.[movedFrom] !== undefined);

/** Lets go of a copy: what its finalizers would do is not to be done, for it stands for nothing. */
async function remove(target: ResourceStore, copy: Resource): Promise<void> {
  const [kind, place] = [kindOf(copy), placeOf(copy)];
  await target.delete(kind, place.name, place.namespace);
  const deadline = Date.now() + removalTimeout;
  for (;;) {
    const left = await editObject(target, kind, place, (draft) => {
      draft.metadata.finalizers = (draft.metadata.finalizers ?? []).filter((finalizer) => !finalizer.startsWith('croft.io/'));
    });
    if (!left || left.metadata.uid !== copy.metadata.uid || !(await target.get(kind, place.name, place.namespace))) return;
    if (Date.now() > deadline) throw new CroftError('unavailable', `${describe(copy)} does not go.`);
    await delay(100);
  }
}

/** The copy of an object, made or brought up to date. @throws CroftError `already-exists` when another's object is there */
async function ensure(target: ResourceStore, object: Resource, found: Resource | undefined, uids: Uids): Promise<Resource> {
  const kind = kindOf(object);
  const wished = { metadata: metadataFor(object, uids), spec: withUids(object.spec, uids) };
  const sameOrigin = found?.metadata.annotations?.[movedFrom] === object.metadata.uid;
  if (found && !sameOrigin) await remove(target, found);
  if (found && sameOrigin) {
    const { labels, annotations, finalizers = [], ownerReferences = [] } = wished.metadata;
    const edited = await editObject(target, kind, placeOf(object), (draft) => {
      const going = draft.metadata.deletionTimestamp !== undefined;
      Object.assign(draft.metadata, { labels, annotations, ownerReferences, ...(going ? {} : { finalizers }) });
      if (!holds(draft.spec, wished.spec)) draft.spec = wished.spec;
    });
    if (edited) return edited;
  }
  try {
    return await target.create(kind, wished as Draft<Kind>);
  } catch (error) {
    if (!isCroftError(error, 'already-exists')) throw error;
    throw new CroftError('already-exists', `${describe(object)} is in the cluster already, and is not a copy of this box's.`, {
      cause: error,
    });
  }
}

/**
 * Makes the target's copies those of `objects`; with none, removes all copies.
 * @throws CroftError `already-exists`, `internal` when the target did not keep what it was given, and what the stores throw
 */
export async function mirror(objects: readonly Resource[], target: ResourceStore, progress: Progress = () => {}): Promise<void> {
  const before = new Map((await copiesIn(target)).map((copy) => [keyOf(copy), copy]));
  const wanted = new Set(objects.map(keyOf));
  // What is owned first: its owner's removal would take it along half-way.
  for (const layer of inLayers([...before.values()].filter((copy) => !wanted.has(keyOf(copy)))).toReversed()) {
    await together(layer, (copy) => remove(target, copy));
  }
  const uids: Uids = new Map();
  const copies = new Map<Resource, Resource>();
  for (const layer of inLayers(objects)) {
    await together(layer, async (object) => {
      const copy = await ensure(target, object, before.get(keyOf(object)), uids);
      uids.set(object.metadata.uid as string, copy.metadata.uid as string);
      copies.set(object, copy);
      progress(copies.size, 2 * objects.length);
    });
  }
  let settled = 0;
  // A status may speak of objects that its own is the owner of: only now are all uids known.
  await together(objects, async (object) => {
    await settle(target, object, copies.get(object) as Resource, uids);
    progress(objects.length + ++settled, 2 * objects.length);
  });
  await together(
    objects.filter(({ metadata }) => metadata.deletionTimestamp !== undefined),
    async (object) => void (await target.delete(kindOf(object), object.metadata.name, object.metadata.namespace)),
  );
}

/** Writes the status, and checks that the target kept what it was given. */
async function settle(target: ResourceStore, object: Resource, copy: Resource, uids: Uids): Promise<void> {
  const kind = kindOf(object);
  const status = statusFor(object, copy, uids);
  const written =
    status === undefined
      ? await target.get(kind, object.metadata.name, object.metadata.namespace)
      : await editStatus(target, kind, placeOf(object), (draft) => {
          draft.status = status;
        });
  const kept =
    written !== undefined &&
    holds(written.spec, withUids(object.spec, uids)) &&
    holds(written.metadata.labels ?? {}, withUids(object.metadata.labels ?? {}, uids)) &&
    // Of its own kinds Kubernetes writes parts of the status itself.
    (kind.home === 'core' || holds(written.status ?? {}, status ?? {}));
  if (!kept)
    throw new CroftError('internal', `${describe(object)} would not be the same in the cluster: it did not keep all fields.`);
}
