/** Kubernetes' Status object for failures (apimachinery pkg/apis/meta/v1 types.go), from our errors. Pure. */
import { catalogue, isCroftError, type ErrorCode } from '../../../appliance/errors.ts';
import { pathOf } from '../../../appliance/store/schema-errors.ts';

const reasons: Partial<Record<ErrorCode, string>> = {
  'invalid-input': 'BadRequest',
  'unsupported-field': 'BadRequest',
  unauthenticated: 'Unauthorized',
  forbidden: 'Forbidden',
  'not-found': 'NotFound',
  'already-exists': 'AlreadyExists',
  conflict: 'Conflict',
  'invalid-state': 'Conflict',
  busy: 'Conflict',
  'in-use': 'Conflict',
  expired: 'Expired',
  'too-large': 'RequestEntityTooLarge',
  'unsupported-media-type': 'UnsupportedMediaType',
  'too-many-requests': 'TooManyRequests',
  unavailable: 'ServiceUnavailable',
};

export type StatusObject = {
  kind: 'Status';
  apiVersion: 'v1';
  metadata: object;
  status: 'Failure';
  message: string;
  reason: string;
  code: number;
  details?: StatusDetails;
};

type Cause = { reason: string; message: string; field: string };
/** What the failure is about; `kind` is the plural's, but the kind's own name where fields are wrong, as upstream. */
export type StatusDetails = { name?: string; group?: string; kind?: string; causes?: Cause[]; retryAfterSeconds?: number };
export type About = { name?: string; group: string; kind: string; plural: string };

/** What isn't a CroftError tells nothing of its inside. */
export function statusOf(error: unknown): StatusObject {
  const code: ErrorCode = isCroftError(error) ? error.code : 'internal';
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: isCroftError(error) ? error.message : catalogue.internal.title,
    reason: reasons[code] ?? 'InternalError',
    code: catalogue[code].status,
  };
}

/** The Status of a failure about one object: kubectl makes its sentence of name, kind and the fields that are wrong. */
export function objectStatus(error: unknown, about: About): StatusObject {
  const status = statusOf(error);
  const { name, group, kind, plural } = about;
  const causes = isCroftError(error)
    ? error.errors.map(({ pointer, detail }) => ({
        reason: error.code === 'unsupported-field' ? 'FieldValueForbidden' : 'FieldValueInvalid',
        message: detail,
        field: pathOf(pointer),
      }))
    : [];
  const details = { ...(name === undefined ? {} : { name }), ...(group === '' ? {} : { group }) };
  if (status.code === 429 || status.code === 503)
    return { ...status, details: { ...details, kind: plural, retryAfterSeconds: 1 } };
  if (causes.length === 0 || status.reason !== 'BadRequest') return { ...status, details: { ...details, kind: plural } };
  return { ...status, reason: 'Invalid', code: 422, details: { ...details, kind, causes } };
}

/** What a deletion answers when the object is gone. */
export const success = ({ name, group, plural }: About, uid: string | undefined) => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Success',
  details: { name, ...(group === '' ? {} : { group }), kind: plural, ...(uid === undefined ? {} : { uid }) },
});
