/** Exit codes (docs/cli.md), and the errors the CLI raises itself. */
import { ApiProblem, isAbort, Unreachable } from '../client/problem.ts';

export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  denied: 4,
  conflict: 5,
  timeout: 6,
  unreachable: 7,
  interrupted: 130,
} as const;

export const exitMeanings: Record<number, string> = {
  0: 'done',
  1: 'failed',
  2: 'wrong usage, or a value that can never be right',
  3: 'no such object',
  4: 'not signed in, or not allowed',
  5: 'conflict: in use, busy, or not possible in the present state',
  6: 'waiting took longer than --timeout; the work goes on',
  7: 'the API cannot be reached',
  130: 'interrupted; the work goes on',
};

/** An end decided by the CLI itself. `message` is one sentence for people; `fix` the next steps. */
export class CliError extends Error {
  readonly exitCode: number;
  readonly fix: string[];

  constructor(exitCode: number, message: string, fix: string[] = []) {
    super(message);
    this.name = 'CliError';
    this.exitCode = exitCode;
    this.fix = fix;
  }
}

export const usageError = (message: string, ...fix: string[]): CliError => new CliError(exitCodes.usage, message, fix);

/** HTTP status → exit code. */
const byStatus: Record<number, number> = {
  400: exitCodes.usage,
  401: exitCodes.denied,
  403: exitCodes.denied,
  404: exitCodes.notFound,
  409: exitCodes.conflict,
  412: exitCodes.conflict,
  428: exitCodes.conflict,
};

/** The exit code of anything thrown. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.exitCode;
  if (error instanceof ApiProblem) return byStatus[error.status] ?? exitCodes.failed;
  if (error instanceof Unreachable) return error.code === 'EACCES' ? exitCodes.denied : exitCodes.unreachable;
  if (isAbort(error)) return exitCodes.interrupted;
  return exitCodes.failed;
}
