/** Field by field difference of two JSON values. Pure. */

/** `path` in people's writing (`spec.template.spec.networks[0].name`); an absent side is left out. */
export type FieldChange = { path: string; from?: unknown; to?: unknown };

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isEmpty = (value: unknown): boolean => value === undefined || (isObject(value) && Object.keys(value).length === 0);

export function difference(from: unknown, to: unknown, path = ''): FieldChange[] {
  if (Array.isArray(from) && Array.isArray(to)) {
    return Array.from({ length: Math.max(from.length, to.length) }, (_, index) =>
      difference(from[index], to[index], `${path}[${index}]`),
    ).flat();
  }
  if ((isObject(from) || from === undefined) && (isObject(to) || to === undefined) && !(isEmpty(from) && isEmpty(to))) {
    const keys = new Set([...Object.keys(from ?? {}), ...Object.keys(to ?? {})]);
    const inner = [...keys].flatMap((key) => difference(from?.[key], to?.[key], path === '' ? key : `${path}.${key}`));
    if (inner.length > 0 || (from !== undefined && to !== undefined)) return inner;
  }
  if (JSON.stringify(from) === JSON.stringify(to) || (isEmpty(from) && isEmpty(to))) return [];
  return [{ path, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }];
}
