/**
 * Label and field selectors, as text to predicates. Pure.
 *
 * The grammar and meaning are Kubernetes' (apimachinery pkg/labels/selector.go): comma is "and";
 * `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a` (present), `!a` (absent), `a>1`, `a<1`.
 * As upstream, `!=` and `notin` also match objects that have no such label.
 */
import { CroftError } from '../errors.ts';

export type Requirement = {
  key: string;
  operator: 'in' | 'notin' | 'exists' | 'absent' | 'gt' | 'lt';
  values: string[];
};

export type FieldRequirement = { field: 'metadata.name' | 'metadata.namespace'; equal: boolean; value: string };

const prefixPattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const namePattern = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

/** What is wrong with a label or annotation key (`[prefix/]name`); undefined when nothing is. */
export function labelKeyFault(key: string): string | undefined {
  const parts = key.split('/');
  const name = parts.at(-1) ?? '';
  const prefix = parts.length > 1 ? parts.slice(0, -1).join('/') : undefined;
  if (prefix !== undefined && (prefix.length > 253 || !prefixPattern.test(prefix))) {
    return 'the part before / must be a DNS name in lower case, at most 253 characters';
  }
  if (name.length > 63 || !namePattern.test(name)) {
    return 'must be 1 to 63 letters, digits, -, _ or . and begin and end with a letter or digit';
  }
  return undefined;
}

/** What is wrong with a label's value; undefined when nothing is. The empty value is fine. */
export function labelValueFault(value: string): string | undefined {
  if (value === '' || (value.length <= 63 && namePattern.test(value))) return undefined;
  return 'must be empty, or at most 63 letters, digits, -, _ or . beginning and ending with a letter or digit';
}

const token = /\s*(==|!=|[=!<>(),]|[^\s=!<>(),]+)/y;

function tokens(text: string, what: string): string[] {
  const found: string[] = [];
  const trimmed = text.trimEnd();
  token.lastIndex = 0;
  while (token.lastIndex < trimmed.length) {
    const match = token.exec(trimmed);
    if (!match) throw malformed(what, text, 'has characters that belong to no selector');
    found.push(match[1] as string);
  }
  return found;
}

const malformed = (what: string, text: string, why: string): CroftError =>
  new CroftError('invalid-input', `${what}: ${JSON.stringify(text)} ${why}.`, {
    errors: [{ pointer: `/${what}`, detail: why }],
    fix: [
      what === 'labelSelector'
        ? 'Write e.g. app=web,tier!=db,size in (s,m),!gone.'
        : 'Write e.g. metadata.name=web or metadata.namespace!=default.',
    ],
  });

const symbols = new Set(['==', '!=', '=', '!', '<', '>', '(', ')', ',']);

/** @throws CroftError `invalid-input` saying which part is not understood. */
export function parseLabelSelector(text: string | undefined): Requirement[] {
  if (text === undefined || text.trim() === '') return [];
  const fail = (why: string): never => {
    throw malformed('labelSelector', text, why);
  };
  const queue = tokens(text, 'labelSelector');
  const word = (role: string): string => {
    const next = queue.shift();
    if (next === undefined) return fail(`ends where ${role} should stand`);
    if (symbols.has(next)) return fail(`has ${JSON.stringify(next)} where ${role} should stand`);
    return next;
  };
  const key = (): string => {
    const name = word('a label key');
    const fault = labelKeyFault(name);
    return fault ? fail(`has the label key ${JSON.stringify(name)}: ${fault}`) : name;
  };
  const value = (): string => {
    // `a=` and `a=,b` ask for the empty value.
    if (queue[0] === undefined || queue[0] === ',' || queue[0] === ')') return '';
    const name = word('a value');
    const fault = labelValueFault(name);
    return fault ? fail(`has the value ${JSON.stringify(name)}: ${fault}`) : name;
  };
  const list = (): string[] => {
    if (queue.shift() !== '(') return fail('needs a list in round brackets after in and notin');
    const values = [value()];
    for (;;) {
      const next = queue.shift();
      if (next === ')') return values;
      if (next !== ',') return fail('has a list that is not closed by )');
      values.push(value());
    }
  };
  const number = (): string => {
    const text = value();
    return /^-?\d+$/.test(text) ? text : fail(`compares with ${JSON.stringify(text)}, which is not a whole number`);
  };
  const requirement = (): Requirement => {
    if (queue[0] === '!') {
      queue.shift();
      return { key: key(), operator: 'absent', values: [] };
    }
    const name = key();
    const operator = queue[0];
    if (operator === undefined || operator === ',') return { key: name, operator: 'exists', values: [] };
    queue.shift();
    if (operator === '=' || operator === '==') return { key: name, operator: 'in', values: [value()] };
    if (operator === '!=') return { key: name, operator: 'notin', values: [value()] };
    if (operator === 'in' || operator === 'notin') return { key: name, operator, values: list() };
    if (operator === '>' || operator === '<') return { key: name, operator: operator === '>' ? 'gt' : 'lt', values: [number()] };
    return fail(`has ${JSON.stringify(operator)} where =, !=, in, notin, < or > should stand`);
  };
  const requirements = [requirement()];
  while (queue.length > 0) {
    const next = queue.shift();
    if (next !== ',') return fail(`has ${JSON.stringify(next)} where a comma should stand`);
    requirements.push(requirement());
  }
  return requirements;
}

const matchesOne = ({ key, operator, values }: Requirement, labels: Record<string, string>): boolean => {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  if (operator === 'exists') return value !== undefined;
  if (operator === 'absent') return value === undefined;
  if (operator === 'in') return value !== undefined && values.includes(value);
  if (operator === 'notin') return value === undefined || !values.includes(value);
  if (value === undefined || !/^-?\d+$/.test(value)) return false;
  return operator === 'gt' ? Number(value) > Number(values[0]) : Number(value) < Number(values[0]);
};

/** True when the labels meet all requirements. */
export const matchesLabels = (requirements: readonly Requirement[], labels: Record<string, string> = {}): boolean =>
  requirements.every((requirement) => matchesOne(requirement, labels));

/** The one value that a label must have to match, if the requirements say so: lets an index be used. */
export function exactValueOf(requirements: readonly Requirement[], key: string): string | undefined {
  const exact = requirements.find((one) => one.key === key && one.operator === 'in' && one.values.length === 1);
  return exact?.values[0];
}

/**
 * `metadata.name=x,metadata.namespace!=y`.
 * @throws CroftError `invalid-input` naming the field that cannot be selected by.
 */
export function parseFieldSelector(text: string | undefined): FieldRequirement[] {
  if (text === undefined || text.trim() === '') return [];
  return text.split(',').map((part) => {
    const match = /^\s*([^=!\s]+)\s*(==|=|!=)\s*(.*?)\s*$/.exec(part);
    const field = match?.[1];
    if (!match) throw malformed('fieldSelector', text, 'is not of the form field=value');
    if (field !== 'metadata.name' && field !== 'metadata.namespace') {
      throw malformed('fieldSelector', text, `selects by ${field}; only metadata.name and metadata.namespace can be selected by`);
    }
    return { field, equal: match[2] !== '!=', value: match[3] as string };
  });
}

/** True when name and namespace meet all requirements. */
export const matchesFields = (
  requirements: readonly FieldRequirement[],
  metadata: { name: string; namespace?: string },
): boolean =>
  requirements.every(({ field, equal, value }) => {
    const actual = field === 'metadata.name' ? metadata.name : (metadata.namespace ?? '');
    return (actual === value) === equal;
  });
