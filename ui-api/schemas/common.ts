/** Pieces that the objects and requests of `/v1` are made of. */
import { Type, type TSchema } from 'typebox';

export const strict = { additionalProperties: false } as const;

/** RFC 1123 label: what names of things may look like; also the host name of a VM. */
export const Name = Type.String({
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
  maxLength: 63,
  description: 'lowercase letters, digits and hyphens, at most 63 characters, e.g. web-1',
});

/** A name or a croft.io/id. */
export const NameOrId = Type.String({ minLength: 1, maxLength: 253, description: 'a name or an id' });

export const Bytes = Type.Integer({ minimum: 0, description: 'bytes' });

/** Bytes or a quantity going in; always bytes coming out. */
export const Size = Type.Union([Type.Integer({ minimum: 1 }), Type.String({ maxLength: 32 })], {
  description: 'bytes or a quantity, e.g. 268435456 or 256Mi',
});

export const Labels = Type.Record(Type.String({ maxLength: 316 }), Type.String({ maxLength: 63 }), {
  description: 'label names and values',
});

export const Time = Type.String({ description: 'RFC 3339, UTC' });

export const ConditionOut = Type.Object({
  type: Type.String(),
  status: Type.String(),
  reason: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
  lastTransitionTime: Type.Optional(Time),
});

export const FieldProblem = Type.Object({ pointer: Type.String(), detail: Type.String() });

/** RFC 9457 problem details with Croft's additions. */
export const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  instance: Type.String(),
  code: Type.String(),
  traceId: Type.String(),
  errors: Type.Array(FieldProblem),
  fix: Type.Array(Type.String()),
});

export const Page = <T extends TSchema>(item: T) =>
  Type.Object({ items: Type.Array(item), nextPageToken: Type.Optional(Type.String()) });

export const NameParams = Type.Object({ name: NameOrId });

export const ProjectQuery = { project: Type.Optional(Name) };

/** `?dryRun=true` of every change; read by plugins/dry-run.ts. */
export const ChangeQuery = { ...ProjectQuery, dryRun: Type.Optional(Type.Boolean()) };

export const ListQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
  pageToken: Type.Optional(Type.String({ maxLength: 1024 })),
  sort: Type.Optional(Type.String({ maxLength: 64, description: 'a field, with - in front for descending' })),
  q: Type.Optional(Type.String({ maxLength: 253, description: 'text in name, labels or addresses' })),
  state: Type.Optional(Type.String({ maxLength: 64 })),
  labelSelector: Type.Optional(Type.String({ maxLength: 1024 })),
  ...ProjectQuery,
};

/** What every object out of the store has. */
export const ObjectOut = {
  id: Type.Optional(Type.String()),
  name: Type.String(),
  createdAt: Type.Optional(Time),
  labels: Type.Optional(Type.Record(Type.String(), Type.String())),
};
