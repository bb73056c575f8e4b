/**
 * What every ResourceStore keeps (appliance/store/store.ts), as one suite. It asks for nothing that a kube-apiserver
 * would not keep too: versions and uids are opaque, watches may repeat, garbage goes eventually.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { secret } from '../../appliance/resources/core-kinds.ts';
import { network } from '../../appliance/resources/croft-kinds.ts';
import { dataVolume, type DataVolume } from '../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../appliance/resources/identity.ts';
import { ownerReferenceTo } from '../../appliance/resources/meta.ts';
import { editObject, editStatus } from '../../appliance/store/edit.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { eventually } from '../helpers/eventually.ts';
import { describeStoreModel } from './store-model.ts';
import { collect, refusal, type OpenedStore } from './store-tools.ts';

const finalizer = 'croft.io/test';
const blank = { source: { blank: {} } };

export function describeStoreContract(name: string, open: () => Promise<OpenedStore>): void {
  describe(`store contract: ${name}`, () => {
    let opened: OpenedStore;
    let store: ResourceStore;
    let count = 0;
    beforeAll(async () => {
      opened = await open();
      store = opened.store;
    });
    afterAll(() => opened.close());
    const newNamespace = async (): Promise<string> =>
      opened.newNamespace ? opened.newNamespace() : `contract-${process.pid}-${++count}`;
    const make = (namespace: string, name: string, metadata: object = {}): Promise<DataVolume> =>
      store.create(dataVolume, { metadata: { name, namespace, ...metadata }, spec: blank });

    describe('create and get', () => {
      it('fills the metadata that is the store’s', async () => {
        const namespace = await newNamespace();
        const made = await make(namespace, 'a', { labels: { app: 'x' }, uid: 'mine', generation: 7 });
        expect(made).toMatchObject({ apiVersion: dataVolume.apiVersion, kind: 'DataVolume', spec: blank });
        expect(made.metadata).toMatchObject({ name: 'a', namespace, generation: 1, labels: { app: 'x' } });
        expect(made.metadata.uid).toMatch(/.+/);
        expect(made.metadata.uid).not.toBe('mine');
        expect(Date.parse(made.metadata.creationTimestamp ?? '')).toBeGreaterThan(Date.now() - 60_000);
        expect(await store.get(dataVolume, 'a', namespace)).toEqual(made);
      });

      it('hands out objects that the caller may change', async () => {
        const namespace = await newNamespace();
        await make(namespace, 'a');
        const mine = await store.get(dataVolume, 'a', namespace);
        if (mine) mine.spec.source = { pvc: { name: 'changed' } };
        expect((await store.get(dataVolume, 'a', namespace))?.spec).toEqual(blank);
      });

      it('takes no status', async () => {
        const namespace = await newNamespace();
        const made = await store.create(dataVolume, {
          metadata: { name: 'a', namespace },
          spec: blank,
          status: { phase: 'Succeeded' },
        });
        expect(made.status?.phase).toBeUndefined();
      });

      it('says undefined for what is not there', async () => {
        expect(await store.get(dataVolume, 'nothing', await newNamespace())).toBeUndefined();
      });

      it('refuses a second one of the name, also one that waits for its finalizers', async () => {
        const namespace = await newNamespace();
        await make(namespace, 'a', { finalizers: [finalizer] });
        await refusal('already-exists', make(namespace, 'a'));
        await store.delete(dataVolume, 'a', namespace);
        await refusal('already-exists', make(namespace, 'a'));
      });

      it('keeps projects apart, and kinds of the box out of them', async () => {
        const [one, two] = [await newNamespace(), await newNamespace()];
        await make(one, 'a');
        await make(two, 'a');
        await store.delete(dataVolume, 'a', one);
        expect(await store.get(dataVolume, 'a', two)).toBeDefined();
        const net = await store.create(network, { metadata: { name: `${one}-net` }, spec: { vlan: 20 } });
        expect(net.metadata.namespace).toBeUndefined();
        await refusal('invalid-input', store.create(network, { metadata: { name: 'n', namespace: one }, spec: {} }));
        await refusal('invalid-input', store.create(dataVolume, { metadata: { name: 'n' }, spec: blank }));
        await store.delete(network, `${one}-net`);
      });

      it.each([
        ['an upper-case name', { metadata: { name: 'Web' }, spec: blank }, 'metadata.name'],
        ['a name like an id', { metadata: { name: newId() }, spec: blank }, 'UUID'],
        ['an unknown field', { metadata: { name: 'a' }, spec: { ...blank, colour: 1 } }, 'spec.colour'],
        ['a field of the wrong type', { metadata: { name: 'a' }, spec: { source: 7 } }, 'spec.source'],
        ['a bad label', { metadata: { name: 'a', labels: { app: 'no good' } }, spec: blank }, 'metadata.labels'],
        ['an id that is none', { metadata: { name: 'a', labels: { [idLabel]: 'x' } }, spec: blank }, idLabel],
      ])('refuses %s, naming it', async (_what, draft, told) => {
        const namespace = await newNamespace();
        const bad = { ...draft, metadata: { ...draft.metadata, namespace } } as never;
        expect((await refusal('invalid-input', store.create(dataVolume, bad))).message).toContain(told);
      });
    });

    describe('update', () => {
      it('compares the version, and writes without one unconditionally', async () => {
        const namespace = await newNamespace();
        const made = await make(namespace, 'a');
        const second = await store.update(dataVolume, { ...made, spec: { source: { http: { url: 'http://two' } } } });
        expect(second.metadata.resourceVersion).not.toBe(made.metadata.resourceVersion);
        await refusal('conflict', store.update(dataVolume, { ...made, spec: blank }));
        await refusal('conflict', store.updateStatus(dataVolume, { ...made, status: { phase: 'Failed' } }));
        const { resourceVersion: _, ...blind } = made.metadata;
        expect((await store.update(dataVolume, { ...made, metadata: blind })).spec).toEqual(blank);
        await refusal('not-found', store.update(dataVolume, { ...made, metadata: { ...blind, name: 'b', uid: undefined } }));
      });

      it('lets exactly one of many concurrent writers win each version', async () => {
        const namespace = await newNamespace();
        const made = await make(namespace, 'a');
        const writes = Array.from({ length: 8 }, (_, index) =>
          store.update(dataVolume, { ...made, metadata: { ...made.metadata, annotations: { writer: String(index) } } }),
        );
        const results = await Promise.allSettled(writes);
        expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      });

      it('counts changes of spec in generation, and of nothing else', async () => {
        const namespace = await newNamespace();
        const made = await make(namespace, 'a');
        const labelled = await store.update(dataVolume, { ...made, metadata: { ...made.metadata, labels: { a: 'b' } } });
        expect(labelled.metadata.generation).toBe(1);
        const observed = await store.updateStatus(dataVolume, { ...labelled, status: { phase: 'Pending' } });
        expect(observed.metadata.generation).toBe(1);
        const changed = await store.update(dataVolume, { ...observed, spec: { source: { http: { url: 'http://x' } } } });
        expect(changed.metadata.generation).toBe(2);
      });

      it('keeps the halves apart', async () => {
        const namespace = await newNamespace();
        const made = await make(namespace, 'a');
        const { resourceVersion: _, ...blind } = made.metadata;
        await store.update(dataVolume, { ...made, status: { phase: 'Failed' }, metadata: { ...blind, labels: { a: 'b' } } });
        await store.updateStatus(dataVolume, {
          ...made,
          spec: { source: { http: { url: 'http://x' } } },
          status: { phase: 'Pending' },
          metadata: { ...blind, labels: { a: 'c' } },
        });
        const now = await store.get(dataVolume, 'a', namespace);
        expect(now?.spec).toEqual(blank);
        expect(now?.status).toEqual({ phase: 'Pending' });
        expect(now?.metadata.labels).toEqual({ a: 'b' });
      });

      it('keeps uid, creation time and the id whatever the caller says', async () => {
        const namespace = await newNamespace();
        const id = newId();
        const made = await make(namespace, 'a', { labels: { [idLabel]: id } });
        const next = await store.update(dataVolume, {
          ...made,
          metadata: { ...made.metadata, creationTimestamp: '2001-01-01T00:00:00Z', generation: 9 },
        });
        expect(next.metadata).toMatchObject({
          uid: made.metadata.uid,
          creationTimestamp: made.metadata.creationTimestamp,
          generation: 1,
        });
        await refusal('conflict', store.update(dataVolume, { ...next, metadata: { ...next.metadata, uid: 'another' } }));
        for (const labels of [{}, { [idLabel]: newId() }] as Record<string, string>[]) {
          const error = await refusal(
            'invalid-input',
            store.update(dataVolume, { ...next, metadata: { ...next.metadata, labels } }),
          );
          expect(error.message).toContain(id);
        }
      });

      it('writes nothing where nothing changes', async () => {
        const namespace = await newNamespace();
        const made = await make(namespace, 'a');
        expect((await store.update(dataVolume, made)).metadata.resourceVersion).toBe(made.metadata.resourceVersion);
      });

      it('editObject and editStatus win against a busy other writer', async () => {
        const namespace = await newNamespace();
        await make(namespace, 'a', { annotations: { count: '0' } });
        const increment = () =>
          editObject(store, dataVolume, { name: 'a', namespace }, ({ metadata }) => {
            metadata.annotations = { count: String(Number(metadata.annotations?.count) + 1) };
          });
        await Promise.all([increment(), increment(), increment()]);
        await editStatus(store, dataVolume, { name: 'a', namespace }, (object) => {
          object.status = { phase: 'Pending' };
        });
        const now = await store.get(dataVolume, 'a', namespace);
        expect(now?.metadata.annotations?.count).toBe('3');
        expect(now?.status?.phase).toBe('Pending');
      });
    });

    describe('delete', () => {
      it('removes at once what has no finalizers, and says undefined after', async () => {
        const namespace = await newNamespace();
        const made = await make(namespace, 'a');
        expect((await store.delete(dataVolume, 'a', namespace))?.metadata.uid).toBe(made.metadata.uid);
        expect(await store.get(dataVolume, 'a', namespace)).toBeUndefined();
        expect(await store.delete(dataVolume, 'a', namespace)).toBeUndefined();
        expect((await make(namespace, 'a')).metadata.uid).not.toBe(made.metadata.uid);
      });

      it('waits for the last finalizer', async () => {
        const namespace = await newNamespace();
        await make(namespace, 'a', { finalizers: [finalizer, `${finalizer}2`] });
        const waiting = await store.delete(dataVolume, 'a', namespace);
        expect(waiting?.metadata.deletionTimestamp).toBeDefined();
        const again = await store.delete(dataVolume, 'a', namespace);
        expect(again?.metadata.deletionTimestamp).toBe(waiting?.metadata.deletionTimestamp);
        const drop = (one: string) =>
          editObject(store, dataVolume, { name: 'a', namespace }, ({ metadata }) => {
            metadata.finalizers = metadata.finalizers?.filter((other) => other !== one);
          });
        await drop(finalizer);
        const half = await store.get(dataVolume, 'a', namespace);
        expect(half?.metadata.finalizers).toEqual([`${finalizer}2`]);
        await refusal(
          'invalid-input',
          store.update(dataVolume, {
            ...(half as DataVolume),
            metadata: { ...(half as DataVolume).metadata, finalizers: ['croft.io/new', `${finalizer}2`] },
          }),
        );
        await drop(`${finalizer}2`);
        expect(await store.get(dataVolume, 'a', namespace)).toBeUndefined();
      });

      it('holds to the uid and version it is given', async () => {
        const namespace = await newNamespace();
        const made = await make(namespace, 'a');
        await refusal('conflict', store.delete(dataVolume, 'a', namespace, { uid: 'another' }));
        await store.updateStatus(dataVolume, { ...made, status: { phase: 'Pending' } });
        await refusal('conflict', store.delete(dataVolume, 'a', namespace, { resourceVersion: made.metadata.resourceVersion }));
        expect(await store.delete(dataVolume, 'a', namespace, { uid: made.metadata.uid })).toBeDefined();
      });

      it('takes owned objects with the last owner, level by level', async () => {
        const namespace = await newNamespace();
        const owners = [await make(namespace, 'owner-1'), await make(namespace, 'owner-2')];
        const child = await make(namespace, 'child', {
          ownerReferences: owners.map((owner) => ({ ...ownerReferenceTo(owner), controller: owner === owners[0] })),
        });
        await make(namespace, 'grandchild', { ownerReferences: [ownerReferenceTo(child)] });
        await make(namespace, 'held', { ownerReferences: [ownerReferenceTo(child)], finalizers: [finalizer] });
        await make(namespace, 'stranger');
        await store.delete(dataVolume, 'owner-1', namespace);
        expect(await store.get(dataVolume, 'child', namespace)).toBeDefined();
        await store.delete(dataVolume, 'owner-2', namespace);
        await eventually(async () => {
          const { items } = await store.list(dataVolume, { namespace });
          expect(items.map(({ metadata }) => metadata.name)).toEqual(['held', 'stranger']);
          expect(items[0]?.metadata.deletionTimestamp).toBeDefined();
        });
      });
    });

    describe('list', () => {
      it('selects by project, labels and fields', async () => {
        const namespace = await newNamespace();
        const id = newId();
        await make(namespace, 'a', { labels: { app: 'web', size: 's', [idLabel]: id } });
        await make(namespace, 'b', { labels: { app: 'web', size: 'm' } });
        await make(namespace, 'c', { labels: { app: 'db' } });
        await make(await newNamespace(), 'elsewhere', { labels: { app: 'web' } });
        const names = async (query: object) =>
          (await store.list(dataVolume, { namespace, ...query })).items.map(({ metadata }) => metadata.name);
        expect(await names({})).toEqual(['a', 'b', 'c']);
        expect(await names({ labelSelector: 'app=web' })).toEqual(['a', 'b']);
        expect(await names({ labelSelector: 'app!=web' })).toEqual(['c']);
        expect(await names({ labelSelector: 'size in (s,l),app==web' })).toEqual(['a']);
        expect(await names({ labelSelector: '!size' })).toEqual(['c']);
        expect(await names({ labelSelector: `${idLabel}=${id}` })).toEqual(['a']);
        expect(await names({ fieldSelector: 'metadata.name=b' })).toEqual(['b']);
        expect(await names({ fieldSelector: 'metadata.name!=b', labelSelector: 'app' })).toEqual(['a', 'c']);
        await refusal('invalid-input', store.list(dataVolume, { namespace, labelSelector: 'a=b=c' }));
      });

      it('gives pages that together are all', async () => {
        const namespace = await newNamespace();
        for (let index = 0; index < 7; index++) await make(namespace, `v${index}`, { labels: { odd: String(index % 2) } });
        for (const [query, expected] of [
          [{ limit: 3 }, 7],
          [{ limit: 2, labelSelector: 'odd=1' }, 3],
          [{ limit: 7 }, 7],
        ] as const) {
          const found: string[] = [];
          let page = await store.list(dataVolume, { namespace, ...query });
          for (;;) {
            expect(page.items.length).toBeLessThanOrEqual(query.limit);
            found.push(...page.items.map(({ metadata }) => metadata.name));
            if (!page.continue) break;
            page = await store.list(dataVolume, { namespace, ...query, continue: page.continue });
          }
          expect(new Set(found).size).toBe(expected);
          expect(found).toHaveLength(expected);
        }
        await refusal('invalid-input', store.list(dataVolume, { namespace, limit: 2, continue: 'nonsense' }));
      });
    });

    describe('watch', () => {
      it('tells what there is, then what happens', async () => {
        const namespace = await newNamespace();
        const made = await make(namespace, 'a');
        const seen = collect((signal) => store.watch(dataVolume, { namespace, signal }));
        await eventually(() => expect(seen.told()).toEqual(['ADDED a']));
        await store.updateStatus(dataVolume, { ...made, status: { phase: 'Pending' } });
        await make(namespace, 'b');
        await make(await newNamespace(), 'elsewhere');
        await store.delete(dataVolume, 'a', namespace);
        await eventually(() => expect(seen.told()).toEqual(['ADDED a', 'MODIFIED a', 'ADDED b', 'DELETED a']));
        expect(seen.events[3]?.object.status?.phase).toBe('Pending');
        await seen.stop();
      });

      it('resumes after the version of a list without a gap', async () => {
        const namespace = await newNamespace();
        await make(namespace, 'a');
        const { resourceVersion } = await store.list(dataVolume, { namespace });
        await make(namespace, 'b');
        await store.delete(dataVolume, 'a', namespace);
        const seen = collect((signal) => store.watch(dataVolume, { namespace, resourceVersion, signal }));
        await eventually(() => expect(seen.told()).toEqual(['ADDED b', 'DELETED a']));
        await make(namespace, 'c');
        await eventually(() => expect(seen.told()).toContain('ADDED c'));
        await seen.stop();
        const version = seen.events.find(({ object }) => object.metadata.name === 'b')?.object.metadata.resourceVersion;
        const later = collect((signal) => store.watch(dataVolume, { namespace, resourceVersion: version, signal }));
        await eventually(() => expect(later.told()).toEqual(['DELETED a', 'ADDED c']));
        await later.stop();
      });

      it('shows an object that ceases to match as deleted, one that begins to as added', async () => {
        const namespace = await newNamespace();
        const made = await make(namespace, 'a', { labels: { app: 'x' } });
        const seen = collect((signal) => store.watch(dataVolume, { namespace, labelSelector: 'app=x', signal }));
        await eventually(() => expect(seen.told()).toEqual(['ADDED a']));
        const without = await store.update(dataVolume, { ...made, metadata: { ...made.metadata, labels: {} } });
        await store.update(dataVolume, { ...without, metadata: { ...without.metadata, labels: { app: 'x' } } });
        await eventually(() => expect(seen.told()).toEqual(['ADDED a', 'DELETED a', 'ADDED a']));
        await seen.stop();
      });

      it('shows both phases of a deletion', async () => {
        const namespace = await newNamespace();
        await make(namespace, 'a', { finalizers: [finalizer] });
        const { resourceVersion } = await store.list(dataVolume, { namespace });
        const seen = collect((signal) => store.watch(dataVolume, { namespace, resourceVersion, signal }));
        await store.delete(dataVolume, 'a', namespace);
        await editObject(store, dataVolume, { name: 'a', namespace }, ({ metadata }) => {
          metadata.finalizers = [];
        });
        await eventually(() => expect(seen.told()).toEqual(['MODIFIED a', 'DELETED a']));
        await seen.stop();
      });

      it('ends when aborted, at once and later', async () => {
        const namespace = await newNamespace();
        const seen = collect((signal) => store.watch(dataVolume, { namespace, signal }));
        await seen.stop();
        for await (const event of store.watch(dataVolume, { namespace, signal: AbortSignal.abort() })) expect.fail(event.type);
      });
    });

    it('stores Secrets as they are given', async () => {
      const namespace = await newNamespace();
      const data = { password: Buffer.from('geheim').toString('base64') };
      await store.create(secret, { metadata: { name: 's', namespace }, spec: { type: 'Opaque', data } });
      expect((await store.get(secret, 's', namespace))?.spec.data).toEqual(data);
      expect((await store.list(secret, { namespace })).items[0]?.spec.data).toEqual(data);
    });

    it('has everything again after it was closed and opened', async ({ skip }) => {
      if (!opened.reopen) return skip();
      const namespace = await newNamespace();
      const made = await make(namespace, 'a');
      const { resourceVersion } = await store.list(dataVolume, { namespace });
      await store.delete(dataVolume, 'a', namespace);
      const next = await make(namespace, 'b');
      store = await opened.reopen();
      expect(await store.get(dataVolume, 'a', namespace)).toBeUndefined();
      expect(await store.get(dataVolume, 'b', namespace)).toEqual(next);
      const seen = collect((signal) => store.watch(dataVolume, { namespace, resourceVersion, signal }));
      await eventually(() => expect(seen.told()).toEqual(['DELETED a', 'ADDED b']));
      await seen.stop();
      expect((await make(namespace, 'a')).metadata.resourceVersion).not.toBe(made.metadata.resourceVersion);
    });

    describeStoreModel(() => store, newNamespace, fc);
  });
}
