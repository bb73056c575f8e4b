/** The other kinds → flat objects of `/v1`. Pure. */
import type { Image, Network, Node, StoragePool, Token, User } from '../../../appliance/resources/croft-kinds.ts';
import { poolOf, poolOfClaim, type DataVolume, type PersistentVolumeClaim } from '../../../appliance/resources/data-volume.ts';
import { confirmBefore, type Uplink } from '../../../appliance/resources/uplink.ts';
import type { VirtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { wishedDisks } from '../../../appliance/vm/guest-shape.ts';
import { compact, identityOf, kebab, readiness } from './common.ts';
import { bytesOf, classOf, requestOf } from './vm.ts';

export const projectImage = (image: Image) =>
  compact({
    kind: 'image' as const,
    ...identityOf(image),
    state: image.metadata.deletionTimestamp ? 'terminating' : kebab(image.status?.phase ?? 'Pending'),
    progress: image.status?.progress,
    source: image.spec.source,
    origin: image.status?.origin,
    checksum: image.spec.checksum,
    pool: image.spec.pool,
    size: image.status?.virtualSize,
    used: image.status?.size,
    reason: image.status?.message || undefined,
  });

export const projectNetwork = (network: Network) =>
  compact({
    kind: 'network' as const,
    ...identityOf(network),
    ...network.spec,
    ...readiness(network.status?.conditions),
    uplink: network.status?.uplink,
    leases: network.status?.leases ?? [],
    conditions: network.status?.conditions ?? [],
  });

export const projectUplink = (uplink: Uplink) => {
  const conditions = uplink.status?.conditions ?? [];
  const degraded = conditions.find(({ type, status }) => type === 'Degraded' && status === 'True')?.message;
  return compact({
    kind: 'uplink' as const,
    ...identityOf(uplink),
    ...uplink.spec,
    reason: degraded,
    ...readiness(conditions),
    confirmBefore: uplink.metadata.annotations?.[confirmBefore],
    members: uplink.status?.members ?? [],
    conditions,
  });
};

export const projectPool = (pool: StoragePool) =>
  compact({
    kind: 'pool' as const,
    ...identityOf(pool),
    ...pool.spec,
    disks: undefined,
    ...readiness(pool.status?.conditions),
    health: pool.status?.health,
    capacity: pool.status?.capacity,
    used: pool.status?.used,
    provisioned: pool.status?.provisioned,
    conditions: pool.status?.conditions ?? [],
  });

export const projectUser = (user: User) =>
  compact({
    kind: 'user' as const,
    ...identityOf(user),
    role: user.spec.role,
    fullName: user.spec.fullName,
    disabled: user.spec.disabled ?? false,
    lastSignIn: user.status?.lastSignIn,
  });

export const projectToken = (token: Token) =>
  compact({ kind: 'token' as const, ...identityOf(token), ...token.spec, lastUsed: token.status?.lastUsed });

/** By the condition's reason (cluster/peers/maintenance.ts); `maintenance`: it can be switched off. */
const maintenanceStates: Record<string, string> = { Evacuating: 'evacuating', Blocked: 'blocked', SafeToPowerOff: 'maintenance' };

/** @param fenced the phase of its fence, where it has one */
export const projectNode = (node: Node, memoryFree?: number, fenced?: string) => {
  const { components = [], conditions = [], peer, ...status } = node.status ?? {};
  const silent = conditions.some(({ type, status: is }) => type === 'Reachable' && is === 'False');
  const emptied = conditions.find(({ type, status: is }) => type === 'Maintenance' && is === 'True');
  // What is told of maintenance is no trouble of the box's own.
  const heard = emptied
    ? maintenanceStates[emptied.reason ?? '']
    : readiness(conditions.filter((one) => one.type !== 'Maintenance')).state;
  const state = fenced === undefined ? (silent ? 'silent' : (heard ?? 'maintenance')) : 'fenced';
  const { role, witness, address } = peer ?? {};
  return compact({
    kind: 'node' as const,
    ...identityOf(node),
    state,
    ...status,
    role,
    witness,
    address,
    memoryFree,
    components,
    conditions,
  });
};

/** Which VM of a project uses each claim. */
export function usersOfClaims(vms: readonly VirtualMachine[]): Map<string, string> {
  return new Map(
    vms.flatMap((vm) =>
      wishedDisks(vm.spec.template.spec).map(({ claim }) => [`${vm.metadata.namespace}/${claim}`, vm.metadata.name] as const),
    ),
  );
}

/** A volume is a claim, the DataVolume that makes it, or both. */
export type VolumeParts = { claim?: PersistentVolumeClaim; dataVolume?: DataVolume; vm?: string };

export function projectVolume({ claim, dataVolume, vm }: VolumeParts) {
  const owner = claim ?? dataVolume;
  if (!owner) throw new TypeError('a volume has a claim or a DataVolume');
  const failed = dataVolume?.status?.phase === 'Failed';
  const ready = dataVolume?.status?.conditions?.find(({ type, status }) => type === 'Ready' && status === 'False');
  return compact({
    kind: 'volume' as const,
    ...identityOf(owner),
    project: owner.metadata.namespace ?? 'default',
    state: owner.metadata.deletionTimestamp ? 'terminating' : failed ? 'failed' : kebab(claim?.status?.phase ?? 'Pending'),
    reason: claim?.status?.phase === 'Bound' ? undefined : ready?.message || undefined,
    progress: claim?.status?.phase === 'Bound' ? undefined : dataVolume?.status?.progress,
    size:
      bytesOf(claim?.status?.capacity?.storage) ??
      bytesOf(claim?.spec.resources?.requests?.storage) ??
      bytesOf(dataVolume && requestOf(dataVolume.spec)),
    pool: claim ? poolOfClaim(claim) : poolOf(dataVolume && classOf(dataVolume.spec)),
    image: dataVolume?.spec.sourceRef?.name,
    vm,
  });
}
