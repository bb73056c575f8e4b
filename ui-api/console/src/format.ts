/** Numbers and times as people read them. Pure. */
const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** 1610612736 → `1.5 GiB`; unknown → a dash. */
export function formatBytes(bytes: number | undefined): string {
  if (bytes === undefined) return '–';
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'short' });
const steps: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
];

/** `3 min. ago`, `in 2 days`. */
export function formatAge(time: string, now = Date.now()): string {
  const seconds = (Date.parse(time) - now) / 1000;
  if (Math.abs(seconds) < 5) return relative.format(0, 'second');
  const [unit, size] = steps.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1];
  return relative.format(Math.round(seconds / size), unit);
}

/** Local date and time, for the eye. */
export const formatTime = (time: string): string =>
  new Date(time).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** Local time of the day: where the day is known. */
export const formatClock = (time: string): string => new Date(time).toLocaleTimeString(undefined, { timeStyle: 'medium' });

/** UTC to the second, for the tooltip. */
export const formatUtc = (time: string): string => `${new Date(time).toISOString().slice(0, 19).replace('T', ' ')} UTC`;

export const formatPercent = (fraction: number): string => `${Math.round(fraction * 100)} %`;

/** Whether one of the values has the filter's text in it. */
export const includesText = (filter: string, ...values: readonly (string | number | undefined)[]): boolean =>
  values.join('\n').toLowerCase().includes(filter.toLowerCase());

/** `2 Gi`, `512Mi`, `1.5 GiB` or plain bytes → bytes; undefined for anything else. */
export function parseSize(value: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)i?b?\s*$/i.exec(value);
  if (!match) return undefined;
  const power = ['', 'k', 'm', 'g', 't', 'p'].indexOf((match[2] ?? '').toLowerCase());
  return Math.round(Number(match[1]) * 1024 ** power);
}
