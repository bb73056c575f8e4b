/** Kinds by which the boxes of a cluster know of each other: Fence is ours, Lease is Kubernetes'. */
import { Type } from 'typebox';
import { defineKind, type Of } from './kind.ts';

const strict = { additionalProperties: false } as const;

/**
 * A box that is kept from the shared disks, by its name. While it exists the box starts nothing; only the box itself
 * takes it away (appliance/cluster/peers/rejoin-plan.ts). It never times out.
 */
export const fence = defineKind({
  apiVersion: 'croft.io/v1',
  kind: 'Fence',
  plural: 'fences',
  namespaced: false,
  spec: Type.Object(
    {
      box: Type.String(),
      /** Cluster addresses that are kept from the disks. */
      addresses: Type.Array(Type.String(), { minItems: 1 }),
      /** Which box set it, for people. */
      by: Type.Optional(Type.String()),
      /** Why, in one sentence. */
      reason: Type.Optional(Type.String()),
    },
    strict,
  ),
  status: Type.Object({
    /** `pending`: nothing of the box may be started elsewhere yet; `confirmed`: it may; `lifting`: the box is taking it away. */
    phase: Type.Optional(Type.Enum(['pending', 'confirmed', 'lifting'])),
    /** The boot of the box it was set against. */
    bootId: Type.Optional(Type.String()),
    /** The map of the disks from which on the box is shut out. */
    osdmapEpoch: Type.Optional(Type.Integer()),
    /** True once none of its VMs is the box's any more. */
    settled: Type.Optional(Type.Boolean()),
    openedAt: Type.Optional(Type.String()),
    confirmedAt: Type.Optional(Type.String()),
    settledAt: Type.Optional(Type.String()),
  }),
  columns: [
    { header: 'PHASE', path: '.status.phase' },
    { header: 'EPOCH', path: '.status.osdmapEpoch' },
    { header: 'REASON', path: '.spec.reason' },
  ],
});
export type Fence = Of<typeof fence>;

/** coordination.k8s.io/v1 Lease: a box's heartbeat, and who leads. */
export const lease = defineKind({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
  home: 'core',
  spec: Type.Object({
    holderIdentity: Type.Optional(Type.String()),
    leaseDurationSeconds: Type.Optional(Type.Integer()),
    /** MicroTime. Only ever compared for being another one: clocks of boxes differ. */
    renewTime: Type.Optional(Type.String()),
    leaseTransitions: Type.Optional(Type.Integer()),
  }),
  status: Type.Object({}),
});
export type Lease = Of<typeof lease>;
