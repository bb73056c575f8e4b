/** Kubernetes quantities for bytes and CPUs (apimachinery pkg/api/resource: suffixes and meaning). */
import { CroftError } from '../errors.ts';

const factors: Record<string, number> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/**
 * Bytes of a number or quantity (`512Mi`, `10G`, `1.5Gi`).
 * @throws CroftError `invalid-input` naming `field` and the value.
 */
export function parseBytes(value: number | string, field: string): number {
  const match = /^(\d+(?:\.\d+)?)([kMGTP]i?|Ki)?$/.exec(String(value).trim());
  const factor = match && factors[match[2] ?? ''];
  const bytes = match && factor ? Math.ceil(Number(match[1]) * factor) : Number.NaN;
  if (!Number.isSafeInteger(bytes)) {
    throw new CroftError('invalid-input', `${field}: ${JSON.stringify(value)} is not a size; write bytes or e.g. 512Mi, 10Gi.`, {
      errors: [{ pointer: `/${field.replaceAll('.', '/')}`, detail: 'not a size: write bytes or e.g. 512Mi, 10Gi' }],
    });
  }
  return bytes;
}

/** The shortest exact binary quantity of a number of bytes: 268435456 → `256Mi`. */
export function formatBytes(bytes: number): string {
  for (const suffix of ['Pi', 'Ti', 'Gi', 'Mi', 'Ki']) {
    const factor = factors[suffix] as number;
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${suffix}`;
  }
  return String(bytes);
}

/** Bytes for people: `1.4 GiB`. */
export function humanBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const scaled = bytes / 2 ** (10 * power);
  return `${Number.isInteger(scaled) ? scaled : scaled.toFixed(1)} ${units[power]}`;
}
