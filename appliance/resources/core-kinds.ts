/** Kubernetes' own kinds that Croft needs: core in a cluster, in SQLite on a solo box. */
import { Type } from 'typebox';
import { defineKind, type Of } from './kind.ts';

/** Namespace of Croft's own secrets (password and token hashes, keys). No user's project. */
export const systemNamespace = 'croft-system';

/**
 * core/v1 Secret. Upstream has `data` and `type` at the top level; here they stand in `spec` so that all
 * kinds have one shape, and the Kubernetes port maps them. Encrypted at rest by the store.
 */
export const secret = defineKind({
  apiVersion: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  namespaced: true,
  home: 'core',
  spec: Type.Object(
    {
      type: Type.Optional(Type.String()),
      /** Values in base64. */
      data: Type.Record(Type.String(), Type.String()),
    },
    { additionalProperties: false },
  ),
  status: Type.Object({}),
  columns: [{ header: 'TYPE', path: '.spec.type' }],
});
export type Secret = Of<typeof secret>;
