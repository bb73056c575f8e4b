/** `/v1/cluster`: the box's Kubernetes. */
import { Type, type Static } from 'typebox';
import { strict, Time } from './common.ts';

const Path = Type.String({ pattern: '^/', maxLength: 4096, description: 'absolute path on the box' });

export const Cluster = Type.Object({
  kind: Type.Literal('cluster'),
  state: Type.String({
    description: 'none, preparing, moving, foreign, not-installed, stopped, starting, ready or degraded',
  }),
  words: Type.String({ description: 'what is the matter, or that nothing is' }),
  taskId: Type.Optional(Type.String()),
  failed: Type.Optional(Type.Object({ at: Time, code: Type.String(), detail: Type.String() })),
  version: Type.Optional(Type.String()),
  standIn: Type.Optional(Type.Boolean({ description: 'the lab’s substitute runs, not k3s' })),
  address: Type.Optional(Type.String()),
  since: Type.Optional(Time),
  kubeconfig: Type.Optional(Type.String()),
  pods: Type.Optional(Type.String()),
  services: Type.Optional(Type.String()),
  certificatesEnd: Type.Optional(Time),
});
export type Cluster = Static<typeof Cluster>;

export const ClusterInit = Type.Object(
  {
    k3s: Type.Optional(Path),
    images: Type.Optional(Type.Array(Path, { maxItems: 16 })),
    address: Type.Optional(
      Type.String({ pattern: '^[0-9]{1,3}([.][0-9]{1,3}){3}$', description: 'the box’s IPv4 address in the cluster' }),
    ),
    kubeletArgs: Type.Optional(
      Type.Array(Type.String({ pattern: '^[a-z0-9-]+=', maxLength: 1024 }), { maxItems: 32, description: 'key=value' }),
    ),
  },
  strict,
);
export type ClusterInit = Static<typeof ClusterInit>;
