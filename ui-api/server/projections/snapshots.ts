/** VirtualMachineSnapshot → the flat snapshot of `/v1`. Pure. */
import { snapshotShortName, type VirtualMachineSnapshot } from '../../../appliance/resources/snapshot.ts';
import { compact, identityOf } from './common.ts';

const states = { InProgress: 'creating', Succeeded: 'ready', Failed: 'failed' } as const;

export function projectSnapshot(snapshot: VirtualMachineSnapshot) {
  const { metadata, spec, status } = snapshot;
  const disks = status?.croft?.content?.disks;
  const waiting = status?.conditions?.find(({ type, status: on }) => type === 'Progressing' && on === 'True')?.message;
  const taken = status?.indications;
  return compact({
    kind: 'snapshot' as const,
    ...identityOf(snapshot),
    name: snapshotShortName(snapshot),
    vm: spec.source.name,
    project: metadata.namespace ?? 'default',
    state: metadata.deletionTimestamp ? 'terminating' : states[status?.phase ?? 'InProgress'],
    reason: status?.error?.message ?? (waiting || undefined),
    // Without a guest there is nothing that could be in between.
    consistency: taken === undefined ? undefined : taken.includes('NoGuestAgent') ? ('crash' as const) : ('guest' as const),
    size: disks?.reduce((sum, disk) => sum + disk.size, 0),
    disks: disks?.map(({ name, size }) => ({ name, size })),
    createdAt: status?.creationTime ?? metadata.creationTimestamp,
  });
}
