/** Failures as people read them: the cause, what to do, and (from the API) code and trace id. */
import { ApiProblem, Unreachable } from '../../client/problem.ts';
import { CliError } from '../exit.ts';
import type { Session } from '../session.ts';
import { nearest } from '../suggest.ts';

/** The lines of a failure, without `croft: `; may ask the API for names that resemble a missing one. */
export async function describeFailure(error: unknown, session: Session | undefined): Promise<string[]> {
  if (error instanceof CliError) return [error.message, ...error.fix.map((fix) => `  ${fix}`)];
  if (error instanceof ApiProblem) return describeProblem(error, await meantName(error, session));
  if (error instanceof Unreachable) return describeUnreachable(error, session);
  return [error instanceof Error ? error.message : String(error)];
}

function describeProblem({ message, problem, code }: ApiProblem, meant: string | undefined): string[] {
  const lines = [meant ? `${message} Did you mean ${meant}?` : message];
  for (const { pointer, detail } of problem.errors ?? []) {
    const field = pointer.replace(/^\//, '').replaceAll('/', '.');
    if (!message.includes(detail)) lines.push(`  ${field}: ${detail}`);
  }
  for (const fix of problem.fix ?? []) lines.push(`  To fix: ${fix}`);
  lines.push(`  Code: ${code}${problem.traceId ? `, trace ${problem.traceId}` : ''}`);
  return lines;
}

function describeUnreachable({ code, where, message }: Unreachable, session: Session | undefined): string[] {
  const from = session ? ` (from ${session.connection.from})` : '';
  if (code === 'EACCES') {
    return [`${where} is for root only${from}.`, '  To fix: use sudo, or sign in: croft login http://127.0.0.1:8440'];
  }
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return [
      `Croft does not run at ${where}${from}.`,
      '  To fix: start it there (npm start), or name another with --host, CROFT_HOST or croft login.',
    ];
  }
  return [`${message}${from}`];
}

/** For `GET /v1/vms/wbe-1` → 404: the existing name most like it. */
async function meantName(error: ApiProblem, session: Session | undefined): Promise<string | undefined> {
  const match = /^\/v1\/([a-z]+)\/([^/?]+)/.exec(error.path);
  if (error.status !== 404 || !match || !session) return undefined;
  try {
    const signal = AbortSignal.timeout(2000);
    const known = await session.client.collection<{ name?: string }>(`/v1/${match[1]}`).list(session.project, signal);
    const wanted = decodeURIComponent(match[2] as string);
    const names = known.flatMap(({ name }) => (name ? [name] : []));
    return names.includes(wanted) ? undefined : nearest(wanted, names);
  } catch {
    // Only a courtesy: the failure itself is told anyway.
    return undefined;
  }
}
