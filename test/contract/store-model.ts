/**
 * Random commands against a store and against a model of a few lines: both must answer alike, and a watch
 * begun before the first command must have told exactly the way to the end.
 */
import type fastCheck from 'fast-check';
import { expect, it } from 'vitest';
import { isCroftError } from '../../appliance/errors.ts';
import { dataVolume, type DataVolume } from '../../appliance/resources/data-volume.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { eventually } from '../helpers/eventually.ts';

const finalizer = 'croft.io/model';

type Command =
  | { do: 'create'; name: string; finalized: boolean; label: string }
  | { do: 'spec' | 'status' | 'label'; name: string; value: string; stale: boolean }
  | { do: 'delete' | 'release'; name: string };

type Entry = { url: string; label: string; phase?: string; generation: number; finalized: boolean; deleting: boolean };

/** What the command does to the model; the code a store refuses with, or `ok`, or `gone` where there is nothing to do it to. */
function step(model: Map<string, Entry>, command: Command): string {
  const entry = model.get(command.name);
  if (command.do === 'create') {
    if (entry) return 'already-exists';
    const { name, finalized, label } = command;
    model.set(name, { url: 'http://0', label, generation: 1, finalized, deleting: false });
    return 'ok';
  }
  if (!entry) return command.do === 'delete' || command.do === 'release' ? 'gone' : 'not-found';
  if (command.do === 'delete') {
    if (entry.finalized) entry.deleting = true;
    else model.delete(command.name);
    return 'ok';
  }
  if (command.do === 'release') {
    entry.finalized = false;
    if (entry.deleting) model.delete(command.name);
  }
  if (!('value' in command)) return 'ok';
  if (command.stale) return 'conflict';
  if (command.do === 'status') entry.phase = command.value;
  if (command.do === 'label') entry.label = command.value;
  if (command.do === 'spec' && entry.url !== `http://${command.value}`) {
    entry.url = `http://${command.value}`;
    entry.generation++;
  }
  return 'ok';
}

const specOf = (url: string) => ({ source: { http: { url } } });

async function perform(store: ResourceStore, namespace: string, command: Command, old: Map<string, string>): Promise<string> {
  const { name } = command;
  if (command.do === 'create') {
    const metadata = { name, namespace, labels: { l: command.label }, ...(command.finalized ? { finalizers: [finalizer] } : {}) };
    await store.create(dataVolume, { metadata, spec: specOf('http://0') });
    return 'ok';
  }
  if (command.do === 'delete') return (await store.delete(dataVolume, name, namespace)) ? 'ok' : 'gone';
  const current = await store.get(dataVolume, name, namespace);
  if (!('value' in command)) {
    if (!current) return 'gone';
    await store.update(dataVolume, { ...current, metadata: { ...current.metadata, finalizers: [] } });
    return 'ok';
  }
  const base: DataVolume = current ?? {
    apiVersion: dataVolume.apiVersion,
    kind: dataVolume.kind,
    metadata: { name, namespace },
    spec: specOf('http://0'),
  };
  const metadata = { ...base.metadata, ...(command.stale && current ? { resourceVersion: old.get(name) ?? '1' } : {}) };
  if (command.do === 'status') await store.updateStatus(dataVolume, { ...base, metadata, status: { phase: command.value } });
  else if (command.do === 'spec') await store.update(dataVolume, { ...base, metadata, spec: specOf(`http://${command.value}`) });
  else await store.update(dataVolume, { ...base, metadata: { ...metadata, labels: { l: command.value } } });
  return 'ok';
}

const viewOf = ({ metadata, spec, status }: DataVolume): Entry => ({
  url: spec.source?.http?.url ?? '',
  label: metadata.labels?.l ?? '',
  ...(status?.phase === undefined ? {} : { phase: status.phase }),
  generation: metadata.deletionTimestamp === undefined ? (metadata.generation ?? 0) : 0,
  finalized: (metadata.finalizers?.length ?? 0) > 0,
  deleting: metadata.deletionTimestamp !== undefined,
});

/** Kubernetes bumps the generation of an object being deleted; both ways are right, so it isn't compared then. */
const expected = (model: Map<string, Entry>): Record<string, Entry> =>
  Object.fromEntries([...model].map(([name, entry]) => [name, { ...entry, generation: entry.deleting ? 0 : entry.generation }]));

function commands(fc: typeof fastCheck) {
  const name = fc.constantFrom('a', 'b', 'c');
  const value = fc.constantFrom('0', '1', '2');
  return fc.array(
    fc.oneof(
      fc.record({ do: fc.constant('create' as const), name, finalized: fc.boolean(), label: value }),
      fc.record({
        do: fc.constantFrom('spec' as const, 'status' as const, 'label' as const),
        name,
        value,
        stale: fc.boolean(),
      }),
      fc.record({ do: fc.constantFrom('delete' as const, 'release' as const), name }),
    ),
    { maxLength: 25 },
  );
}

export function describeStoreModel(store: () => ResourceStore, newNamespace: () => Promise<string>, fc: typeof fastCheck): void {
  it('behaves like its model under random commands, and its watch tells all', async () => {
    await fc.assert(
      fc.asyncProperty(commands(fc), async (script) => {
        const namespace = await newNamespace();
        const model = new Map<string, Entry>();
        const old = new Map<string, string>();
        const controller = new AbortController();
        const { resourceVersion } = await store().list(dataVolume, { namespace });
        const replica = new Map<string, DataVolume>();
        const watching = (async () => {
          for await (const { type, object } of store().watch(dataVolume, {
            namespace,
            resourceVersion,
            signal: controller.signal,
          })) {
            if (type === 'DELETED') replica.delete(object.metadata.name);
            else if (type !== 'BOOKMARK') replica.set(object.metadata.name, object);
          }
        })();
        try {
          for (const command of script) {
            const before = await store().get(dataVolume, command.name, namespace);
            // A stale write needs a version that was once right.
            const stale = 'stale' in command && command.stale && old.get(command.name) !== undefined && before !== undefined;
            const fair = 'stale' in command ? { ...command, stale } : command;
            const answer = await perform(store(), namespace, fair, old).catch((error: unknown) => {
              if (isCroftError(error)) return error.code;
              throw error;
            });
            expect([fair, answer]).toEqual([fair, step(model, fair)]);
            const after = await store().get(dataVolume, command.name, namespace);
            if (before?.metadata.resourceVersion !== after?.metadata.resourceVersion) {
              if (before?.metadata.resourceVersion) old.set(command.name, before.metadata.resourceVersion);
              if (!after) old.delete(command.name);
            }
          }
          const { items } = await store().list(dataVolume, { namespace });
          expect(Object.fromEntries(items.map((item) => [item.metadata.name, viewOf(item)]))).toEqual(expected(model));
          await eventually(
            () => {
              expect([...replica.values()].sort((a, b) => a.metadata.name.localeCompare(b.metadata.name))).toEqual(items);
            },
            { interval: 1 },
          );
        } finally {
          controller.abort();
          await watching;
        }
      }),
      { numRuns: 60 },
    );
  });
}
