/** Instance types and preferences of `/v1`. */
import { Type, type Static } from 'typebox';
import { Bytes, Name, ObjectOut, ProjectQuery, Size, strict } from './common.ts';

export const InstanceType = Type.Object({
  kind: Type.Literal('instancetype'),
  ...ObjectOut,
  project: Type.Optional(Type.String({ description: 'absent: for all projects' })),
  cpus: Type.Integer(),
  memory: Bytes,
  cpuModel: Type.Optional(Type.String()),
});
export type InstanceType = Static<typeof InstanceType>;

export const InstanceTypeCreate = Type.Object(
  {
    name: Name,
    project: Type.Optional(Name),
    cpus: Type.Integer({ minimum: 1, maximum: 255 }),
    memory: Size,
    cpuModel: Type.Optional(Type.String({ maxLength: 63 })),
  },
  strict,
);
export type InstanceTypeCreate = Static<typeof InstanceTypeCreate>;

export const Preference = Type.Object({
  kind: Type.Literal('preference'),
  ...ObjectOut,
  project: Type.Optional(Type.String({ description: 'absent: for all projects' })),
  os: Type.Optional(Type.String()),
});
export type Preference = Static<typeof Preference>;

export const OneQuery = Type.Object({ ...ProjectQuery }, strict);
