/** Single values as people read them. */
import { humanBytes } from '../../../appliance/resources/quantity.ts';

export const bytes = (value: unknown): string => (typeof value === 'number' ? humanBytes(value) : '');
export const yesNo = (value: unknown): string => (value === true ? 'yes' : value === false ? 'no' : '');
export const percent = (value: unknown): string => (typeof value === 'number' ? `${Math.round(value * 100)} %` : '');

/** Anything in one line. */
export function plain(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return value.map(plain).join(',');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Seconds in the largest fitting unit: `42s`, `5m`, `3h`, `12d`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** Age of an RFC 3339 time, or time still to go as `in 5m`. */
export function age(value: unknown, now = Date.now()): string {
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(at)) return '';
  return at > now + 1000 ? `in ${duration((at - now) / 1000)}` : duration((now - at) / 1000);
}
