/** What a move's plan is made from. Pools are asked only for what the present step needs: during the switch the guest waits. */
import { persistentVolumeClaim, poolOfClaim, moveAnnotation, type PersistentVolumeClaim } from '../../resources/data-volume.ts';
import { isCroftError } from '../../errors.ts';
import { idLabel } from '../../resources/identity.ts';
import { humanBytes } from '../../resources/quantity.ts';
import { virtualMachine, virtualMachineInstance } from '../../resources/virtual-machine.ts';
import type { VolumeMove } from '../../resources/volume-move.ts';
import type { VmContext } from '../context.ts';
import { wishedDisks } from '../guest-shape.ts';
import type { VolumeDriver } from '../../../storage/driver.ts';
import { isMigrating } from '../migration/record.ts';
import type { Convergence } from './convergence.ts';
import { observeMirror } from './mirror.ts';
import type { Copier, MoveObservation } from './plan-move.ts';

export const moveIdOf = (move: VolumeMove): string => move.metadata.labels?.[idLabel] ?? '';

/** The VM that a claim is a disk of; a running one first. */
export async function userOf(
  { store }: VmContext,
  namespace: string,
  claimName: string,
): Promise<{ vmId: string; disk: string; name: string; migrating: boolean } | undefined> {
  const [instances, vms] = await Promise.all([
    store.list(virtualMachineInstance, { namespace, consistent: true }),
    store.list(virtualMachine, { namespace, consistent: true }),
  ]);
  const all = [
    ...instances.items.map((one) => ({ metadata: one.metadata, spec: one.spec, migrating: isMigrating(one) })),
    ...vms.items.map(({ metadata, spec }) => ({ metadata, spec: spec.template.spec, migrating: false })),
  ];
  for (const { metadata, spec, migrating } of all) {
    const disk = wishedDisks(spec).find(({ claim }) => claim === claimName);
    const vmId = metadata.labels?.[idLabel];
    if (disk && vmId !== undefined) return { vmId, disk: disk.volume, name: metadata.name, migrating };
  }
  return undefined;
}

export async function observeMove(
  context: VmContext,
  move: VolumeMove,
  { copier, convergence }: { copier: Copier | undefined; convergence: Convergence },
): Promise<MoveObservation> {
  const { store } = context;
  const { namespace } = move.metadata;
  const { volumeId, vmId, disk, step } = move.status?.croft ?? {};
  const found = await store.get(persistentVolumeClaim, move.spec.claimName, namespace);
  const same = volumeId === undefined || found?.metadata.labels?.[idLabel] === volumeId;
  const claim = found && same ? found : undefined;
  const running = vmId === undefined ? undefined : context.registry.get(vmId);
  const guest = running && (await observeMirror(running, disk, moveIdOf(move)));
  const pool = claim && poolOfClaim(claim);
  const switched = pool === move.spec.pool;
  const there = async (driver: string | undefined): Promise<boolean> =>
    driver !== undefined && volumeId !== undefined && (await context.volumes.pool(driver).get(volumeId)) !== undefined;
  const ended = move.status?.croft?.endedAt !== undefined;
  const begun = step !== undefined;
  const asks = !ended && begun && !switched && (guest?.job?.status === 'ready' || copier?.state === 'done');
  return {
    move,
    claim: claim && {
      pool: pool as string,
      moving: claim.metadata.annotations?.[moveAnnotation],
      deleting: claim.metadata.deletionTimestamp !== undefined,
    },
    guest,
    copier,
    stalled: convergence.stalled(moveIdOf(move), guest?.job, Date.now()),
    sourceThere: !ended && switched && (await there(move.status?.croft?.from)),
    targetThere: !ended && step === 'undoing' && (await there(move.spec.pool)),
    ...(begun || ended || !claim
      ? { pending: undefined, refusal: asks ? await snapshotRefusal(context, claim) : undefined }
      : await mayBegin(context, move, claim)),
    elsewhere: heldElsewhere(context, vmId),
    now: Date.now(),
  };
}

function heldElsewhere({ instances, nodeName }: VmContext, vmId: string | undefined): boolean {
  const instance = vmId === undefined ? undefined : instances().find(({ metadata }) => metadata.labels?.[idLabel] === vmId);
  const holder = instance?.status?.nodeName;
  return holder !== undefined && holder !== nodeName;
}

async function snapshotRefusal(context: VmContext, claim: PersistentVolumeClaim | undefined): Promise<string | undefined> {
  const id = claim?.metadata.labels?.[idLabel];
  if (!claim || id === undefined) return undefined;
  const { snapshots = [] } = (await context.volumes.pool(poolOfClaim(claim)).get(id)) ?? {};
  if (snapshots.length === 0) return undefined;
  const count = snapshots.length === 1 ? 'a snapshot' : `${snapshots.length} snapshots`;
  return `Volume ${claim.metadata.name} has ${count}, which would stay behind: delete them first.`;
}

type May = { refusal: string | undefined; pending: string | undefined };

async function mayBegin(context: VmContext, move: VolumeMove, claim: PersistentVolumeClaim): Promise<May> {
  const id = claim.metadata.labels?.[idLabel];
  const { name } = claim.metadata;
  if (claim.status?.phase !== 'Bound' || id === undefined) return { refusal: undefined, pending: `Volume ${name} is not ready.` };
  try {
    const target = context.volumes.pool(move.spec.pool);
    const source = context.volumes.pool(poolOfClaim(claim));
    const refusal = (await snapshotRefusal(context, claim)) ?? (await spaceRefusal(source, target, id, move.spec.pool));
    return { refusal, pending: undefined };
  } catch (error) {
    if (!isCroftError(error)) throw error;
    return error.code === 'unavailable'
      ? { refusal: undefined, pending: error.message }
      : { refusal: error.message, pending: undefined };
  }
}

async function spaceRefusal(source: VolumeDriver, target: VolumeDriver, id: string, pool: string): Promise<string | undefined> {
  const volume = await source.get(id);
  if (!volume) return `Volume ${id} is not in its pool any more.`;
  const { free } = await target.usage();
  // A disk on an image takes less than it reads as; how much more is known only once it is copied.
  if (free >= volume.used) return undefined;
  return `Pool ${pool} has ${humanBytes(free)} free; the volume takes at least ${humanBytes(volume.used)}.`;
}
