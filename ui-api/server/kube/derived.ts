/**
 * Namespaces and Events, which the store doesn't have. A namespace is a project: it is there while something is in it
 * (and `default` always), so making one keeps nothing, and none can be deleted. Events are the box's own, as core/v1
 * has them for `kubectl describe`.
 */
import { CroftError } from '../../../appliance/errors.ts';
import type { Column, Kind } from '../../../appliance/resources/kind.ts';
import { kinds } from '../../../appliance/resources/registry.ts';
import type { EventRecord } from '../../../appliance/reconcile/events.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { isDnsLabel } from '../../../appliance/store/validate.ts';
import type { EventView } from '../../../appliance/ports.ts';
import { defaultProject } from '../lookup.ts';
import { isHidden, refuseHidden } from '../admission.ts';
import { ageOf, tableOf, type Row, type Shape } from './table.ts';
import { isObject, type Json } from './wire.ts';

const namespaceColumns: Column[] = [{ header: 'STATUS', path: '.status.phase' }];

export function namespaceOf(name: string, metadata: Json = {}): Json {
  refuseHidden(name);
  if (!isDnsLabel(name))
    throw new CroftError('invalid-input', `metadata.name: ${JSON.stringify(name.slice(0, 80))} is no name of a project.`);
  const labels = { 'kubernetes.io/metadata.name': name, ...(isObject(metadata.labels) ? metadata.labels : {}) };
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { ...metadata, name, uid: name, resourceVersion: '1', creationTimestamp: null, labels },
    spec: {},
    status: { phase: 'Active' },
  };
}

/** Names of the projects that something is in. */
async function projects(store: ResourceStore): Promise<string[]> {
  const names = new Set([defaultProject]);
  for (const kind of (kinds as readonly Kind[]).filter(({ namespaced }) => namespaced)) {
    const items = store.shared ? store.shared.list(kind) : (await store.list(kind)).items;
    for (const item of items) if (!isHidden(item)) names.add(item.metadata.namespace as string);
  }
  return [...names].toSorted();
}

/** @throws CroftError `not-found` for a project that nothing is in */
export async function getNamespace(store: ResourceStore, name: string): Promise<Json> {
  const found = namespaceOf(name);
  if ((await projects(store)).includes(name)) return found;
  throw new CroftError('not-found', `namespaces "${name}" not found: a project is there with the first object in it.`);
}

export async function listNamespaces(store: ResourceStore, shape: Shape): Promise<Json> {
  const items = (await projects(store)).map((name) => namespaceOf(name));
  const metadata = { resourceVersion: '1' };
  if (shape.as !== 'table') return { kind: 'NamespaceList', apiVersion: 'v1', metadata, items };
  const rows = items.map((object): Row => ({ cells: [(object.metadata as Json).name, 'Active', '<unknown>'], object }));
  return tableOf(namespaceColumns, rows, metadata, shape);
}

const apiVersionOf = (name: string): string =>
  (kinds as readonly Kind[]).find(({ kind }) => kind === name)?.apiVersion ?? 'croft.io/v1';

const eventOf = ({ seq, at, type, reason, message, about: { kind, name, project } }: EventRecord): Json => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: {
    name: `${name}.${seq}`,
    namespace: project ?? defaultProject,
    uid: `event-${seq}`,
    resourceVersion: String(seq),
    creationTimestamp: at,
  },
  involvedObject: { apiVersion: apiVersionOf(kind), kind, name, ...(project === undefined ? {} : { namespace: project }) },
  type,
  reason,
  message,
  firstTimestamp: at,
  lastTimestamp: at,
  count: 1,
  source: { component: 'croft' },
});

const eventColumns: Column[] = ['TYPE', 'REASON', 'OBJECT', 'MESSAGE'].map((header) => ({ header, path: '' }));
/** How many of the box's last events a list shows. */
const mostEvents = 500;

/** `fieldSelector` takes `involvedObject.kind`, `.name` and `.namespace`; other fields (a uid, an apiVersion) select nothing away. */
export function listEvents(
  events: EventView,
  namespace: string | undefined,
  fieldSelector: string | undefined,
  shape: Shape,
): Json {
  refuseHidden(namespace);
  const wanted = new Map((fieldSelector ?? '').split(',').map((part) => part.split(/==?/) as [string, string]));
  const found = events.list({
    kind: wanted.get('involvedObject.kind') || undefined,
    name: wanted.get('involvedObject.name') || undefined,
    project: namespace ?? (wanted.get('involvedObject.namespace') || undefined),
    limit: mostEvents,
  });
  const items = found.map(eventOf);
  const metadata = { resourceVersion: String(found[0]?.seq ?? 0) };
  if (shape.as !== 'table') return { kind: 'EventList', apiVersion: 'v1', metadata, items };
  const rows = items.map((object, index): Row => {
    const { about, type, reason, message, at, seq } = found[index] as EventRecord;
    const subject = `${about.kind.toLowerCase()}/${about.name}`;
    return { cells: [`${about.name}.${seq}`, type, reason, subject, message, ageOf(at)], object };
  });
  return tableOf(eventColumns, rows, metadata, shape);
}
