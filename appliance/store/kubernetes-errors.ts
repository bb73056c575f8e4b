/** What a kube-apiserver's refusal is in the catalogue (apimachinery pkg/apis/meta/v1, StatusReason). Pure. */
import { CroftError, type ErrorCode, type FieldError } from '../errors.ts';

export type KubeStatus = {
  code?: number;
  reason?: string;
  message?: string;
  details?: { causes?: { field?: string; message?: string; reason?: string }[]; retryAfterSeconds?: number };
};

/** The answer's code where its reason doesn't say more. */
const byCode: Record<number, ErrorCode> = {
  400: 'invalid-input',
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not-found',
  409: 'conflict',
  410: 'expired',
  413: 'too-large',
  415: 'unsupported-media-type',
  422: 'invalid-input',
  429: 'too-many-requests',
};

/** `spec.template.spec.domain.devices.disks[0].name` → `/spec/template/…/disks/0/name`; `[key]` of maps likewise. */
const pointerOf = (field: string): string =>
  field === '<nil>'
    ? ''
    : field
        .split(/\.(?![^[]*\])|\[|\]\.?/)
        .filter((part) => part !== '')
        .map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`)
        .join('');

/** @param about what the request was for, for the message */
export function errorOfStatus(httpStatus: number, status: KubeStatus, about: string): CroftError {
  const code = status.reason === 'AlreadyExists' ? 'already-exists' : (byCode[httpStatus] ?? 'unavailable');
  // Kubernetes' own sentence names resources, not kinds.
  if (code === 'already-exists') return new CroftError(code, `${about} exists already.`, { cause: status });
  const causes = (status.details?.causes ?? []).filter(({ field }) => field !== undefined);
  const errors: FieldError[] = causes.map(({ field, message }) => ({
    pointer: pointerOf(field as string),
    detail: message ?? 'is refused',
  }));
  const said = status.message || `the API server answered ${httpStatus}`;
  const told =
    errors.length === 0
      ? said
      : causes
          .slice(0, 3)
          .map(({ field, message }) => `${field}: ${message}`)
          .join('; ');
  return new CroftError(code, `${about}: ${told}${/[.!]$/.test(told) ? '' : '.'}`, { errors, cause: status });
}
