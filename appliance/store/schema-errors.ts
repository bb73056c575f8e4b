/**
 * What a TypeBox schema has against a value, in words a person can act on: path, value, what would be
 * right. Compiled once per schema. Pure.
 */
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import type { FieldError } from '../errors.ts';

type Compiled = { Check(value: unknown): boolean; Errors(value: unknown): SchemaError[] };
type SchemaError = { keyword: string; schemaPath: string; instancePath: string; message: string; params: object };

const compiled = new WeakMap<TSchema, Compiled>();

function compile(schema: TSchema): Compiled {
  let found = compiled.get(schema);
  if (!found) {
    found = Compile(schema) as unknown as Compiled;
    compiled.set(schema, found);
  }
  return found;
}

/** Whether the schema has nothing against the value. */
export const fits = (schema: TSchema, value: unknown): boolean => compile(schema).Check(value);

const unescapePointer = (part: string): string => part.replaceAll('~1', '/').replaceAll('~0', '~');
const partsOf = (pointer: string): string[] => pointer.split('/').slice(1).map(unescapePointer);

/** A JSON pointer as people write paths: `/spec/disks/0/name` → `spec.disks[0].name`. */
export const pathOf = (pointer: string): string =>
  partsOf(pointer)
    .map((part, index) => (/^\d+$/.test(part) ? `[${part}]` : `${index === 0 ? '' : '.'}${part}`))
    .join('');

function at(root: unknown, parts: string[]): unknown {
  let here = root;
  for (const part of parts) {
    if (typeof here !== 'object' || here === null) return undefined;
    here = (here as Record<string, unknown>)[part];
  }
  return here;
}

/** JSON of a value, cut so that a message stays a sentence. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

const isUnknownField = (error: SchemaError): boolean =>
  error.keyword === 'boolean' && /\/(additionalProperties|unevaluatedProperties)$/.test(error.schemaPath);

function knownFields(schema: TSchema, schemaPath: string): string {
  const owner = at(schema, partsOf(schemaPath.replace(/^#/, '').replace(/\/[^/]+$/, ''))) as
    | { properties?: Record<string, unknown> }
    | undefined;
  const names = Object.keys(owner?.properties ?? {});
  return names.length === 0 ? 'it takes no fields' : `known here: ${names.join(', ')}`;
}

function wish(error: SchemaError): string {
  const params = error.params as { allowedValues?: unknown[]; allowedValue?: unknown; type?: string; format?: string };
  if (error.keyword === 'enum' && params.allowedValues) return `must be one of ${params.allowedValues.map(String).join(', ')}`;
  if (error.keyword === 'const') return `must be ${shown(params.allowedValue)}`;
  if (error.keyword === 'type' && params.type) return `must be ${/^[aeio]/.test(params.type) ? 'an' : 'a'} ${params.type}`;
  return error.message;
}

/** The branches of an `anyOf` each complain; people get one sentence instead. */
function foldUnions(errors: SchemaError[]): { error: SchemaError; detail?: string }[] {
  const unions = errors.filter((error) => error.keyword === 'anyOf');
  const outer = unions.filter(
    (one) => !unions.some((other) => other !== one && one.schemaPath.startsWith(`${other.schemaPath}/anyOf/`)),
  );
  const inside = (error: SchemaError, union: SchemaError): boolean => error.schemaPath.startsWith(`${union.schemaPath}/anyOf/`);
  return errors
    .filter((error) => !outer.some((union) => inside(error, union)))
    .map((error) => {
      if (error.keyword !== 'anyOf') return { error };
      const branches = errors.filter((one) => inside(one, error) && one.keyword !== 'anyOf');
      const here = branches.filter((one) => one.instancePath === error.instancePath);
      const wishes = [...new Set((here.length > 0 ? here : branches).map(wish))];
      return { error, detail: wishes.join(' or ') || 'does not fit any of the allowed forms' };
    });
}

/**
 * What is wrong with `value`; empty when nothing is. `base` is the value's own JSON pointer (`/spec`).
 * `hideValues` keeps secrets out of messages.
 */
export function schemaErrors(schema: TSchema, value: unknown, base = '', hideValues = false): FieldError[] {
  const check = compile(schema);
  if (check.Check(value)) return [];
  const found = new Map<string, FieldError>();
  const add = (pointer: string, detail: string): void => {
    if (!found.has(pointer)) found.set(pointer, { pointer, detail });
  };
  const errors = check.Errors(value);
  for (const { error, detail } of foldUnions(errors)) {
    const pointer = base + error.instancePath;
    if (error.keyword === 'additionalProperties') {
      const names = (error.params as { additionalProperties?: string[] }).additionalProperties ?? [];
      const known = knownFields(schema, `${error.schemaPath}/additionalProperties`);
      for (const name of names)
        add(`${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, `is not a known field (${known})`);
    } else if (isUnknownField(error)) {
      add(pointer, `is not a known field (${knownFields(schema, error.schemaPath)})`);
    } else if (error.keyword === 'required') {
      for (const name of (error.params as { requiredProperties?: string[] }).requiredProperties ?? []) {
        add(`${pointer}/${name}`, 'is missing and required');
      }
    } else {
      const actual = at(value, partsOf(error.instancePath));
      add(pointer, `${hideValues || typeof actual === 'object' ? '' : `${shown(actual)} `}${detail ?? wish(error)}`);
    }
  }
  return [...found.values()];
}
