/** What all projections share. Pure. */
import { idLabel } from '../../../appliance/resources/identity.ts';
import type { Condition, Resource } from '../../../appliance/resources/meta.ts';

/** `ImportInProgress` → `import-in-progress`. */
export const kebab = (text: string): string => text.replace(/(?<!^)([A-Z])/g, '-$1').toLowerCase();

/** Leaves undefined members out: what isn't known isn't shown. */
export const compact = <T extends Record<string, unknown>>(object: T): T =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;

/** id, name, createdAt and the labels people gave. */
export function identityOf({ metadata }: Resource) {
  const { [idLabel]: id, ...labels } = metadata.labels ?? {};
  return {
    id: id ?? metadata.uid,
    name: metadata.name,
    createdAt: metadata.creationTimestamp,
    labels,
  };
}

/** `ready`, `failed` or `pending` from a Ready condition, with its message as the reason. */
export function readiness(conditions: readonly Condition[] | undefined): { state: string; reason?: string } {
  const ready = conditions?.find(({ type }) => type === 'Ready');
  if (!ready) return { state: 'pending' };
  if (ready.status === 'True') return { state: 'ready' };
  return { state: ready.status === 'False' ? 'failed' : 'pending', reason: ready.message ?? ready.reason };
}

/** RFC 7396 on labels, leaving Croft's own alone. */
export function patchLabels(labels: Record<string, string> | undefined, patch: Record<string, string | null> | undefined) {
  const merged: Record<string, string> = { ...labels };
  for (const [key, value] of Object.entries(patch ?? {})) {
    if (key === idLabel) continue;
    if (value === null) delete merged[key];
    else merged[key] = value;
  }
  return merged;
}
