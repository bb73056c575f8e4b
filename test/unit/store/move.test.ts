import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { secret } from '../../../appliance/resources/core-kinds.ts';
import { network } from '../../../appliance/resources/croft-kinds.ts';
import { dataVolume } from '../../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import { ownerReferenceTo, type Resource } from '../../../appliance/resources/meta.ts';
import { virtualMachine, virtualMachineInstance } from '../../../appliance/resources/virtual-machine.ts';
import { editStatus } from '../../../appliance/store/edit.ts';
import { holds, inLayers, mirror, movedFrom, readAll } from '../../../appliance/store/move.ts';
import { openSqliteStore } from '../../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';

let directory: string;
let source: ResourceStore;
let target: ResourceStore;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'croft-move-'));
  source = openSqliteStore({ path: join(directory, 'a', 'store.db') });
  target = openSqliteStore({ path: join(directory, 'b', 'store.db') });
  await fill(source);
});
afterEach(async () => {
  await source.close();
  await target.close();
  rmSync(directory, { recursive: true, force: true });
});

const template = { spec: { domain: { devices: {} } } };
const idOf = newId();

/** A VM that runs, its instance and disk, one that is being deleted, a secret and a network. */
async function fill(store: ResourceStore): Promise<void> {
  const vm = await store.create(virtualMachine, {
    metadata: { name: 'web', namespace: 'shop', labels: { [idLabel]: idOf }, finalizers: ['croft.io/vm'] },
    spec: { runStrategy: 'Always', template },
  });
  const instance = await store.create(virtualMachineInstance, {
    metadata: {
      name: 'web',
      namespace: 'shop',
      labels: { [idLabel]: idOf, 'kubevirt.io/created-by': vm.metadata.uid as string },
      annotations: { 'croft.io/epoch': '3' },
      finalizers: ['croft.io/instance'],
      ownerReferences: [ownerReferenceTo(vm)],
    },
    spec: template.spec,
  });
  await editStatus(store, virtualMachineInstance, { name: 'web', namespace: 'shop' }, (draft) => {
    draft.status = { phase: 'Running', nodeName: 'box-1', croft: { epoch: 3, pid: 42 } };
  });
  await editStatus(store, virtualMachine, { name: 'web', namespace: 'shop' }, (draft) => {
    draft.status = {
      printableStatus: 'Running',
      observedGeneration: 1,
      stateChangeRequests: [{ action: 'Stop', uid: instance.metadata.uid as string }],
    };
  });
  await store.create(dataVolume, {
    metadata: { name: 'web-root', namespace: 'shop', labels: { [idLabel]: newId() }, ownerReferences: [ownerReferenceTo(vm)] },
    spec: { source: { blank: {} } },
  });
  await store.create(virtualMachine, {
    metadata: { name: 'old', namespace: 'shop', finalizers: ['croft.io/vm'] },
    spec: { runStrategy: 'Halted', template },
  });
  await store.delete(virtualMachine, 'old', 'shop');
  await store.create(secret, { metadata: { name: 'key', namespace: 'croft-system' }, spec: { data: { a: 'Yg==' } } });
  await store.create(network, { metadata: { name: 'lan' }, spec: { vlan: 7 } });
}

/** What must be the same on both sides: uids by the names they stand for, versions and times not. */
async function picture(store: ResourceStore): Promise<unknown> {
  const objects = await readAll(store);
  let text = JSON.stringify(
    objects
      .map(({ kind, metadata, spec, status }) => {
        const { labels, finalizers, ownerReferences } = metadata;
        const annotations = Object.fromEntries(Object.entries(metadata.annotations ?? {}).filter(([key]) => key !== movedFrom));
        const going = metadata.deletionTimestamp !== undefined;
        return {
          kind,
          name: metadata.name,
          namespace: metadata.namespace,
          labels,
          annotations,
          finalizers,
          ownerReferences,
          going,
          spec,
          status,
        };
      })
      .toSorted((a, b) => (`${a.kind}/${a.name}` < `${b.kind}/${b.name}` ? -1 : 1)),
  ); // prettier-ignore
  for (const { kind, metadata } of objects) text = text.replaceAll(metadata.uid as string, `uid of ${kind} ${metadata.name}`);
  return JSON.parse(text);
}

/** Every write but the first `passes` fails. */
function failingAfter(store: ResourceStore, passes: number): ResourceStore & { writes: number } {
  const failing = { ...store, writes: 0 };
  const counted =
    <A extends unknown[], R>(work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (++failing.writes > passes) throw new Error('the target is away');
      return work(...args);
    };
  failing.create = counted(store.create.bind(store)) as ResourceStore['create'];
  failing.update = counted(store.update.bind(store)) as ResourceStore['update'];
  failing.updateStatus = counted(store.updateStatus.bind(store)) as ResourceStore['updateStatus'];
  failing.delete = counted(store.delete.bind(store)) as ResourceStore['delete'];
  return failing;
}

describe('mirror', () => {
  it('copies everything: owners, statuses that speak of uids, what is being deleted', async () => {
    await mirror(await readAll(source), target);
    expect(await picture(target)).toEqual(await picture(source));
    const [vm, instance] = [
      await target.get(virtualMachine, 'web', 'shop'),
      await target.get(virtualMachineInstance, 'web', 'shop'),
    ];
    expect(vm?.status?.stateChangeRequests?.[0]?.uid).toBe(instance?.metadata.uid);
    expect(instance?.metadata.labels?.['kubevirt.io/created-by']).toBe(vm?.metadata.uid);
  });

  it('cut off at any write and repeated, ends the same', async () => {
    const objects = await readAll(source);
    const wished = await picture(source);
    const needed = failingAfter(target, Number.POSITIVE_INFINITY);
    await mirror(objects, needed);
    for (let passes = 0; passes < needed.writes; passes++) {
      await mirror([], target);
      await expect(mirror(objects, failingAfter(target, passes))).rejects.toThrow('the target is away');
      await mirror(objects, target);
      expect(await picture(target)).toEqual(wished);
    }
  });

  it('repeated after changes follows them, and takes away what is gone', async () => {
    await mirror(await readAll(source), target);
    await source.delete(network, 'lan');
    await source.delete(secret, 'key', 'croft-system');
    await source.create(secret, { metadata: { name: 'key', namespace: 'croft-system' }, spec: { data: { a: 'Yw==' } } });
    const vm = await source.get(virtualMachine, 'web', 'shop');
    if (!vm) throw new Error('there is no VM');
    await source.update(virtualMachine, { ...vm, spec: { ...vm.spec, runStrategy: 'Manual' } });
    await mirror(await readAll(source), target);
    // Seen was generation 1 of 2; the copy has begun anew and was not seen.
    const text = JSON.stringify(await picture(source)).replace('"observedGeneration":1', '"observedGeneration":0');
    expect(await picture(target)).toEqual(JSON.parse(text));
    expect(await target.get(network, 'lan')).toBeUndefined();
  });

  it('with nothing removes its copies and nothing else, cut off at any write too', async () => {
    const other = { metadata: { name: 'other', namespace: 'kube-system' }, spec: { data: {} } };
    await target.create(secret, other);
    const objects = await readAll(source);
    for (let passes = 0; ; passes++) {
      await mirror(objects, target);
      const failed = await mirror([], failingAfter(target, passes)).then(
        () => false,
        () => true,
      );
      await mirror([], target);
      expect((await readAll(target)).map(({ metadata }) => metadata.name)).toEqual(['other']);
      if (!failed) break;
    }
    // The source is as it was.
    expect((await readAll(source)).length).toBe(objects.length);
  });

  it('touches no object that is another’s, and says which it is', async () => {
    await target.create(network, { metadata: { name: 'lan' }, spec: { vlan: 9 } });
    await expect(mirror(await readAll(source), target)).rejects.toThrow(/Network lan is in the cluster already/);
    expect((await target.get(network, 'lan'))?.spec.vlan).toBe(9);
  });

  it('says which object the target did not keep as it was', async () => {
    const pruning = { ...target };
    pruning.create = (async (kind, draft) => {
      if (kind.kind === 'Network') return target.create(kind, { ...draft, spec: {} } as never);
      return target.create(kind, draft);
    }) as ResourceStore['create'];
    await expect(mirror(await readAll(source), pruning)).rejects.toThrow('Network lan would not be the same');
  });
});

describe('the order', () => {
  const object = (name: string, ...owners: string[]): Resource =>
    ({
      kind: 'X',
      metadata: { name, uid: name, ownerReferences: owners.map((uid) => ({ uid })) },
      spec: {},
    }) as unknown as Resource;

  it('has owners before what they own, and stands circles and owners that are gone', () => {
    const names = (objects: Resource[]) => inLayers(objects).map((layer) => layer.map(({ metadata }) => metadata.name));
    expect(names([object('c', 'b'), object('b', 'a'), object('a', 'gone')])).toEqual([['a'], ['b'], ['c']]);
    expect(
      names([object('a', 'b'), object('b', 'a')])
        .flat()
        .toSorted(),
    ).toEqual(['a', 'b']);
  });
});

it('holds: more is right, less and other is not', () => {
  expect(holds({ a: [{ b: 1, c: 2 }] }, { a: [{ b: 1 }] })).toBe(true);
  expect([holds({ a: [] }, { a: [1] }), holds({}, { a: 0 }), holds(undefined, {}), holds('1', 1)]).toEqual([
    false,
    false,
    false,
    false,
  ]);
});
