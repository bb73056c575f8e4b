/**
 * The coded error catalogue. Every failure a person can meet has a stable `code` here; the HTTP
 * status, the title and the next step come from this one table, for API, CLI, console and docs
 * (docs/errors.md is checked against it). The public `detail` of an error carries names and numbers;
 * internal context goes to `cause` and the log, never to a client.
 */

/** One entry of the catalogue: HTTP status, short title, and what a person can do about it. */
export type CatalogueEntry = { status: number; title: string; fix: string };

export const catalogue = {
  'invalid-input': {
    status: 400,
    title: 'The request has a field that cannot be used',
    fix: 'Correct the field named in the message and send the request again.',
  },
  'unsupported-field': {
    status: 400,
    title: 'The field is valid in KubeVirt but Croft does not support it',
    fix: 'Remove the field named in the message.',
  },
  unauthenticated: {
    status: 401,
    title: 'Sign in first',
    fix: 'Sign in, or send a valid API token (Authorization: Bearer …).',
  },
  forbidden: {
    status: 403,
    title: 'Your role does not allow this',
    fix: 'Ask an administrator for the role named in the message.',
  },
  'not-found': { status: 404, title: 'No such object', fix: 'Check the name, and the project it is in.' },
  'already-exists': {
    status: 409,
    title: 'An object of this name exists already',
    fix: 'Choose another name, or change the existing object.',
  },
  conflict: {
    status: 409,
    title: 'The object changed meanwhile',
    fix: 'Read it again and repeat your change on the newer version.',
  },
  'invalid-state': {
    status: 409,
    title: 'Not possible in the present state',
    fix: 'Wait for, or bring about, the state named in the message.',
  },
  busy: {
    status: 409,
    title: 'Another action is running on this object',
    fix: 'Wait for the running action to end, or cancel its task.',
  },
  'in-use': { status: 409, title: 'The object is in use', fix: 'Detach it from what uses it first.' },
  expired: {
    status: 410,
    title: 'The resource version is too old to watch from',
    fix: 'List again and watch from the version the list returns.',
  },
  'upload-expired': {
    status: 410,
    title: 'The upload was left alone for too long',
    fix: 'Delete the image and add it again.',
  },
  'precondition-failed': {
    status: 412,
    title: 'The object is not the version you changed',
    fix: 'Read it again and repeat your change on the newer version.',
  },
  'too-large': { status: 413, title: 'The request is too large', fix: 'Send less at once.' },
  'unsupported-media-type': {
    status: 415,
    title: 'This content type is not accepted here',
    fix: 'Send application/json.',
  },
  'idempotency-mismatch': {
    status: 422,
    title: 'The idempotency key was used for another request',
    fix: 'Use a new key for a new request.',
  },
  'precondition-required': {
    status: 428,
    title: 'Say which version you change',
    fix: 'Send If-Match with the ETag you read (or * to overwrite).',
  },
  'too-many-requests': { status: 429, title: 'Too many requests', fix: 'Wait a moment, then try again.' },
  internal: {
    status: 500,
    title: 'Something went wrong inside Croft',
    fix: 'See the log for the trace id, and report it.',
  },
  unavailable: {
    status: 503,
    title: 'A part of Croft is not ready',
    fix: 'Wait a moment; `croft node show` says what is missing.',
  },
  'insufficient-memory': {
    status: 507,
    title: 'Not enough memory on this box',
    fix: 'Stop another VM, give this one less memory, or allow overcommit.',
  },
  'insufficient-storage': {
    status: 507,
    title: 'Not enough space in the pool',
    fix: 'Free space in the pool or choose another pool.',
  },
  'image-refused': {
    status: 422,
    title: 'The image is not safe to import',
    fix: 'Convert it to a flat qcow2 or raw image first.',
  },
  'checksum-mismatch': {
    status: 422,
    title: 'The bytes do not have the expected checksum',
    fix: 'Check the checksum, or fetch the file again.',
  },
  'signature-refused': {
    status: 422,
    title: 'The signature is not one this box trusts',
    fix: 'Take the update from where the release is published; a box trusts the keys its own release brought.',
  },
  'download-failed': {
    status: 502,
    title: 'The download failed',
    fix: 'Check the address and the network, then try again: it resumes.',
  },
  'command-failed': {
    status: 500,
    title: 'A program of the box failed',
    fix: 'The message carries its last words; see the log for the rest.',
  },
  'command-timeout': {
    status: 504,
    title: 'A program of the box did not answer in time',
    fix: 'Try again; if it stays, see the log.',
  },
  'qmp-failed': {
    status: 500,
    title: 'QEMU refused a command',
    fix: "The message carries QEMU's own words.",
  },
  'missing-component': {
    status: 503,
    title: 'A program this needs is not installed',
    fix: 'Run `npm start` without --no-install, or install the package named in the message.',
  },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof catalogue;

/** What is wrong with one field of a request; `pointer` is a JSON pointer into the body. */
export type FieldError = { pointer: string; detail: string };

export type CroftErrorOptions = {
  /** Next steps that fit this very case; default: the catalogue's. */
  fix?: string[];
  errors?: FieldError[];
  /** Seconds after which the same request may be sent again. */
  retryAfter?: number;
  /** Internal context; logged, never sent. */
  cause?: unknown;
};

/** An error of the catalogue. `message` is public: names, values, numbers, no internals. */
export class CroftError extends Error {
  readonly code: ErrorCode;
  readonly fix: string[];
  readonly errors: FieldError[];
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, detail: string, options: CroftErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CroftError';
    this.code = code;
    this.fix = options.fix ?? [catalogue[code].fix];
    this.errors = options.errors ?? [];
    this.retryAfter = options.retryAfter;
  }

  get status(): number {
    return catalogue[this.code].status;
  }
}

/** True when `error` is a CroftError, with this code if one is given. */
export const isCroftError = (error: unknown, code?: ErrorCode): error is CroftError =>
  error instanceof CroftError && (code === undefined || error.code === code);

/** The message of anything thrown, for logs and status texts. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
