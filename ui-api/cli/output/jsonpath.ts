/**
 * The part of kubectl's JSONPath that people use: `.a.b`, `['a']`, `[0]`, `[-1]`, `[*]`, inside `{…}` with literal
 * text around and quoted text within. A bare path may go without braces. Filters and ranges are refused by name.
 */
import { usageError } from '../exit.ts';
import { plain } from './values.ts';

type Step = { key: string } | { index: number } | 'all';

/** @throws CliError usage when the expression cannot be read */
export function evaluateTemplate(template: string, document: unknown): string {
  if (!template.includes('{')) return show(evaluate(template, document));
  return template.replaceAll(/\{([^}]*)\}/g, (_, expression: string) => {
    const literal = /^\s*"((?:[^"\\]|\\.)*)"\s*$/.exec(expression);
    return literal ? (JSON.parse(`"${literal[1]}"`) as string) : show(evaluate(expression.trim(), document));
  });
}

const show = (values: unknown[]): string => values.map(plain).join(' ');

function evaluate(path: string, document: unknown): unknown[] {
  let values: unknown[] = [document];
  for (const step of parsePath(path)) values = values.flatMap((value) => take(value, step));
  return values;
}

function take(value: unknown, step: Step): unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  if (step === 'all') return Object.values(value);
  if ('index' in step) return Array.isArray(value) && value.at(step.index) !== undefined ? [value.at(step.index)] : [];
  const found = (value as Record<string, unknown>)[step.key];
  return found === undefined ? [] : [found];
}

function parsePath(path: string): Step[] {
  const steps: Step[] = [];
  let rest = path.replace(/^\$/, '');
  if (rest !== '' && !/^[.[]/.test(rest)) rest = `.${rest}`;
  while (rest !== '' && rest !== '.') {
    const match = /^(?:\.(\*|(?:[^.[\]\\]|\\.)+)|\[(?:(\*)|(-?\d+)|'([^']*)'|"([^"]*)")\])/.exec(rest);
    if (!match) {
      throw usageError(
        `-o jsonpath: cannot read ${JSON.stringify(rest)} in ${JSON.stringify(path)}.`,
        "Use .field, ['field'], [0] and [*], e.g. -o jsonpath='{.items[*].name}'.",
      );
    }
    const [whole, dotted, star, index, single, double] = match;
    if (star || dotted === '*') steps.push('all');
    else if (index !== undefined) steps.push({ index: Number(index) });
    else steps.push({ key: single ?? double ?? (dotted as string).replaceAll(/\\(.)/g, '$1') });
    rest = rest.slice(whole.length);
  }
  return steps;
}
