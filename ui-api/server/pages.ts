/** Filter, sort and page of lists. Pure. A page token holds the last item's place, so that changes between pages shift nothing. */
import { CroftError } from '../../appliance/errors.ts';

export type PageQuery = { limit?: number; pageToken?: string; sort?: string; q?: string; state?: string };
export type Listed = { name: string; project?: string; state?: string };

const defaultLimit = 500;

type Place = [value: string | number | boolean | null, project: string, name: string];

function compareValues(a: Place[0], b: Place[0]): number {
  if (a === b) return 0;
  // What isn't known comes last.
  if (a === null) return 1;
  if (b === null) return -1;
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : 1;
  return Number(a) - Number(b);
}

const comparePlaces = (a: Place, b: Place, descending: boolean): number =>
  (descending ? -compareValues(a[0], b[0]) : compareValues(a[0], b[0])) || compareValues(a[1], b[1]) || compareValues(a[2], b[2]);

function placeOf(item: Listed, field: string): Place {
  const value = (item as Record<string, unknown>)[field];
  const simple = ['string', 'number', 'boolean'].includes(typeof value) ? (value as Place[0]) : null;
  return [simple, item.project ?? '', item.name];
}

function decode(token: string): Place {
  try {
    const place: unknown = JSON.parse(Buffer.from(token, 'base64url').toString());
    if (Array.isArray(place) && place.length === 3 && place.slice(1).every((part) => typeof part === 'string'))
      return place as Place;
  } catch {
    // Told below, as any other token that isn't ours.
  }
  throw new CroftError('invalid-input', 'pageToken: is not one that this API gave; begin again without it.');
}

/** Text of an item that `q` is looked for in. */
const textOf = (item: Listed): string => {
  const { name, labels, addresses, image, id } = item as Record<string, unknown>;
  return JSON.stringify([name, labels, addresses, image, id]).toLowerCase();
};

export function pageOf<T extends Listed>(items: readonly T[], query: PageQuery): { items: T[]; nextPageToken?: string } {
  const field = query.sort?.replace(/^-/, '') ?? 'name';
  const descending = query.sort?.startsWith('-') ?? false;
  const q = query.q?.toLowerCase();
  const after = query.pageToken === undefined ? undefined : decode(query.pageToken);
  const sorted = items
    .filter((item) => (query.state === undefined || item.state === query.state) && (q === undefined || textOf(item).includes(q)))
    .map((item) => ({ item, place: placeOf(item, field) }))
    .filter(({ place }) => after === undefined || comparePlaces(place, after, descending) > 0)
    .sort((a, b) => comparePlaces(a.place, b.place, descending));
  const limit = query.limit ?? defaultLimit;
  const page = sorted.slice(0, limit);
  const last = page.at(-1);
  return {
    items: page.map(({ item }) => item),
    ...(sorted.length > limit && last ? { nextPageToken: Buffer.from(JSON.stringify(last.place)).toString('base64url') } : {}),
  };
}
