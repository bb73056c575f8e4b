/** Requests are checked by the routes' TypeBox schemas; what is wrong is told by field, value and what would be right. */
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { CroftError, type FieldError } from '../../../appliance/errors.ts';
import { fits, pathOf, schemaErrors, shown } from '../../../appliance/store/schema-errors.ts';
import type { Server } from '../context.ts';

const isObjectSchema = (schema: TSchema): boolean => 'type' in schema && schema.type === 'object';

type SchemaNode = { description?: string; properties?: Record<string, SchemaNode>; items?: SchemaNode };

/** The schema's own words for what belongs at a pointer. */
function wishAt(schema: SchemaNode, pointer: string): string | undefined {
  let here: SchemaNode | undefined = schema;
  for (const part of pointer.split('/').slice(1)) here = here?.properties?.[part] ?? here?.items;
  return here?.description;
}

const valueAt = (root: unknown, pointer: string): unknown =>
  pointer
    .split('/')
    .slice(1)
    .reduce<unknown>(
      (here, part) => (typeof here === 'object' && here !== null ? (here as Record<string, unknown>)[part] : undefined),
      root,
    );

/** Where the schema says in words what it wants, these replace the pattern or the numbers. */
function inWords(schema: TSchema, value: unknown, error: FieldError, secret: boolean): FieldError {
  const wish = wishAt(schema as SchemaNode, error.pointer);
  const actual = valueAt(value, error.pointer);
  if (wish === undefined || actual === undefined || /not a known field/.test(error.detail)) return error;
  return { pointer: error.pointer, detail: `${secret || typeof actual === 'object' ? '' : `${shown(actual)} `}must be ${wish}` };
}

/** @throws CroftError `invalid-input`; with `secret`, values are not repeated. */
export function checkInput(schema: TSchema, value: unknown, secret = false): void {
  const errors = schemaErrors(schema, value, '', secret).map((error) => inWords(schema, value, error, secret));
  if (errors.length === 0) return;
  const told = errors.slice(0, 3).map(({ pointer, detail }) => `${pathOf(pointer) || 'the body'}: ${detail}`);
  const more = errors.length > 3 ? `; and ${errors.length - 3} more` : '';
  throw new CroftError('invalid-input', `${told.join('; ')}${more}.`, { errors });
}

/** In place of fastify's own compilers, which take an eighth of the service's start to load and would never be asked. */
export const compilersFactory = {
  buildValidator: () => neverAsked,
  buildSerializer: () => neverAsked,
};
const neverAsked = (): never => {
  throw new Error('a route has a schema but stands outside the scope of useValidation');
};

export function useValidation(app: Server): void {
  app.setValidatorCompiler(({ schema, httpPart }) => {
    const typed = schema as TSchema;
    const isSecret = (typed as { secret?: boolean }).secret === true;
    return (given: unknown) => {
      // Most requests are right as they come.
      if (fits(typed, given)) return { value: given };
      let value = given;
      // Queries and params are text; `limit=20` means the number.
      if (httpPart === 'querystring' || httpPart === 'params') value = Value.Convert(typed, { ...(given as object) });
      // No body is an empty one: `POST …/stop` needs no `{}`.
      else if (httpPart === 'body' && (given === null || given === undefined) && isObjectSchema(typed)) value = {};
      try {
        checkInput(typed, value, isSecret);
        return { value };
      } catch (error) {
        return { error: error as Error };
      }
    };
  });
  // Answers are what the projections made: nothing is dropped on the way out. Tests hold them to the schemas.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
}
