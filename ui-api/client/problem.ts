/** What can go wrong between a client and the API: an answer that says no, or no answer. */

/** RFC 9457 problem details with Croft's additions; every part may be missing when something between answered. */
export type Problem = {
  type?: string;
  title?: string;
  status?: number;
  code?: string;
  detail?: string;
  traceId?: string;
  fix?: string[];
  errors?: { pointer: string; detail: string }[];
};

/** The API answered with an error. `message` is the problem's detail. */
export class ApiProblem extends Error {
  readonly status: number;
  readonly code: string;
  readonly problem: Problem;
  readonly method: string;
  readonly path: string;

  constructor(status: number, problem: Problem, method: string, path: string) {
    super(problem.detail ?? problem.title ?? `${method} ${path} was answered with HTTP ${status}.`);
    this.name = 'ApiProblem';
    this.status = status;
    this.code = problem.code ?? `http-${status}`;
    this.problem = problem;
    this.method = method;
    this.path = path;
  }
}

/** No answer: nothing listens there, the connection broke, its certificate is not the trusted one. */
export class Unreachable extends Error {
  /** The system's code, e.g. `ECONNREFUSED`, `ENOENT`, `EACCES`. */
  readonly code: string;
  readonly where: string;

  constructor(where: string, cause: unknown) {
    super(`No answer from ${where}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = 'Unreachable';
    this.code = systemCode(cause) ?? 'unreachable';
    this.where = where;
  }
}

function systemCode(cause: unknown): string | undefined {
  if (!(cause instanceof Error)) return undefined;
  if ('code' in cause && typeof cause.code === 'string') return cause.code;
  // fetch() wraps the system's error.
  return systemCode(cause.cause);
}

/** True for an abort by the caller's own signal: neither a problem nor unreachable. */
export const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError';
