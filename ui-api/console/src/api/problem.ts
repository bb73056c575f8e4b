/** What an error says to a person: the API's own words, from the one catalogue. */
import { ApiProblem, Unreachable } from '../../../client/problem.ts';
import { text } from '../i18n/text.ts';

export type ShownProblem = {
  title: string;
  detail: string;
  fix: string[];
  code: string | undefined;
  traceId: string | undefined;
  /** By JSON pointer of the request's field. */
  fields: Record<string, string>;
};

export function showProblem(error: unknown): ShownProblem {
  if (error instanceof ApiProblem) {
    const { title, fix, traceId, errors } = error.problem;
    return {
      title: title ?? text.errors.failed,
      detail: error.message,
      fix: fix ?? [],
      code: error.code,
      traceId,
      fields: Object.fromEntries((errors ?? []).map(({ pointer, detail }) => [pointer, detail])),
    };
  }
  const plain = { fix: [], code: undefined, traceId: undefined, fields: {} };
  if (error instanceof Unreachable) return { ...plain, title: text.errors.unreachable, detail: text.errors.unreachableDetail };
  return { ...plain, title: text.errors.failed, detail: error instanceof Error ? error.message : String(error) };
}

export const isSignedOut = (error: unknown): boolean => error instanceof ApiProblem && error.status === 401;
