/** Kubernetes' Status object for failures (apimachinery pkg/apis/meta/v1 types.go), from our errors. Pure. */
import { catalogue, isCroftError, type ErrorCode } from '../../../appliance/errors.ts';

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
};

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
