/** `/v1/node/update`: releases of an installed appliance. */
import { Type, type Static } from 'typebox';
import { strict, Time } from './common.ts';
import { Upload } from './objects.ts';

const SlotView = Type.Object({
  slot: Type.Union([Type.Literal('A'), Type.Literal('B')]),
  state: Type.String({ description: 'running, next (tried at the next start), ready, failed or empty' }),
  version: Type.Optional(Type.String()),
  builtAt: Type.Optional(Time),
});

export const Releases = Type.Object({
  kind: Type.Literal('releases'),
  confirmed: Type.Boolean({ description: 'the running release has passed its health check' }),
  slots: Type.Array(SlotView),
  refusal: Type.Optional(Type.String({ description: 'why this box has no releases' })),
  upload: Type.Optional(Upload),
  taskId: Type.Optional(Type.String({ description: 'of the update under way' })),
});
export type Releases = Static<typeof Releases>;

const restart = Type.Optional(Type.Boolean({ description: 'restart the box into it at once; its guests are shut down' }));

export const UpdateBody = Type.Object(
  {
    url: Type.Optional(Type.String({ pattern: '^https?://', maxLength: 4096, description: 'where the box fetches the bundle' })),
    upload: Type.Optional(Type.Literal(true, { description: 'the bundle that is sent to /v1/node/update/upload' })),
    restart,
  },
  strict,
);
export type UpdateBody = Static<typeof UpdateBody>;

export const RollbackBody = Type.Object({ restart }, strict);
