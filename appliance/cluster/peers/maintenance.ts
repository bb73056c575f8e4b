/**
 * Maintenance of a box: its Node wishes it (`spec.maintenance`), its own service carries it out. The box takes nothing new
 * (Kubernetes' node is cordoned), its VMs migrate, two at a time, to where the plan says; what can't leave is named.
 * When nothing runs on it the box says that it can be switched off. Taking the wish back cancels what is under way; VMs that
 * have left stay where they are. Each turn begins from what is: a service that is killed goes on where it was.
 */
import type { Logger } from '../../host/logger.ts';
import { node, type Node } from '../../resources/croft-kinds.ts';
import { idLabel, newId, shortId } from '../../resources/identity.ts';
import { setCondition, type Condition } from '../../resources/meta.ts';
import { virtualMachineInstanceMigration, type VirtualMachineInstanceMigration } from '../../resources/migration.ts';
import type { VirtualMachineInstance } from '../../resources/virtual-machine.ts';
import { editStatus } from '../../store/edit.ts';
import type { ResourceStore } from '../../store/store.ts';
import { hostnameLabel } from '../../vm/migration/migration-reconciler.ts';
import { refusalOf, sharedByDriver } from '../../vm/migration/refusal.ts';
import { cordon, uncordon } from './cordon.ts';
import { planDepartures, type Departure } from './evacuation.ts';
import { bytesOf, heldBy, readBoxes, roomsOf } from './rooms.ts';

/** On the migrations that empty a box: its name. */
export const evacuationLabel = 'croft.io/evacuates';
const atOnce = 2;
/** ms after a failed migration until the VM is tried again. */
const retryAfter = 30_000;

export type MaintenanceReason = 'Evacuating' | 'Blocked' | 'SafeToPowerOff';
export const maintenanceCondition = 'Maintenance';

/** What maintenance of the box would do now. */
export async function departuresOf(store: ResourceStore, box: string): Promise<Departure[]> {
  const { nodes, instances } = await readBoxes(store);
  const leaving = await Promise.all(
    heldBy(instances, box).map(async (instance) => {
      const { name, namespace = 'default' } = instance.metadata;
      const refusal = await refusalOf(store, sharedByDriver(store), instance);
      return { vm: name, project: namespace, memory: bytesOf(instance), ...(refusal === undefined ? {} : { refusal }) };
    }),
  );
  const rooms = roomsOf(nodes, instances).filter((room) => room.box !== box);
  return planDepartures(leaving, rooms);
}

const keyOf = (one: { name: string; namespace?: string | undefined }): string => `${one.namespace ?? 'default'}/${one.name}`;
const isUnderWay = ({ status }: VirtualMachineInstanceMigration): boolean => status?.croft?.endedAt === undefined;

/** What there is to do for a box in maintenance, and what is to be said of it: pure. */
export function planMaintenance(
  held: readonly Pick<VirtualMachineInstance, 'metadata'>[],
  departures: readonly Departure[],
  migrations: readonly VirtualMachineInstanceMigration[],
  now: number,
): { begin: { vm: string; project: string; to: string }[]; reason: MaintenanceReason; message: string } {
  if (held.length === 0) return { begin: [], reason: 'SafeToPowerOff', message: 'No VM runs here: the box can be switched off.' };
  const ofVm = (key: string) =>
    migrations.filter(({ metadata, spec }) => keyOf({ name: spec.vmiName, namespace: metadata.namespace }) === key);
  const moving = new Set(held.map(({ metadata }) => keyOf(metadata)).filter((key) => ofVm(key).some(isUnderWay)));
  const begin: { vm: string; project: string; to: string }[] = [];
  const stay: string[] = [];
  for (const departure of departures) {
    const key = keyOf({ name: departure.vm, namespace: departure.project });
    if (moving.has(key)) continue;
    if ('stays' in departure) {
      stay.push(`${departure.vm}: ${departure.stays}`);
      continue;
    }
    const ends = ofVm(key).map(({ status }) => status?.croft);
    const last = ends.toSorted((a, b) => (a?.endedAt ?? '').localeCompare(b?.endedAt ?? '')).at(-1);
    if (last?.error !== undefined && now - Date.parse(last.endedAt ?? '') < retryAfter)
      stay.push(`${departure.vm}: ${last.error}`);
    else if (moving.size + begin.length < atOnce) begin.push(departure);
  }
  const left = `${held.length} ${held.length === 1 ? 'VM is' : 'VMs are'} left.`;
  const blocked = moving.size + begin.length === 0 && stay.length > 0;
  return { begin, reason: blocked ? 'Blocked' : 'Evacuating', message: [left, ...stay].join(' ') };
}

export type MaintenanceParts = { store: ResourceStore; box: string; logger: Logger };

/** One turn of the box's own part. */
export async function advanceMaintenance({ store, box, logger }: MaintenanceParts): Promise<void> {
  const own = await store.get(node, box);
  if (!own) return;
  if (own.spec.maintenance !== true) return end({ store, box, logger }, own);
  await cordon(store, box, 'maintenance');
  const migrations = await evacuations(store, box);
  const { instances } = await readBoxes(store);
  const plan = planMaintenance(heldBy(instances, box), await departuresOf(store, box), migrations, Date.now());
  for (const { vm, project, to } of plan.begin) {
    logger.info({ vm, to }, 'maintenance: a VM leaves this box');
    await store.create(virtualMachineInstanceMigration, {
      metadata: {
        name: `${vm}.evacuation-${shortId(newId())}`,
        namespace: project,
        labels: { [idLabel]: newId(), [evacuationLabel]: box },
      },
      spec: { vmiName: vm, addedNodeSelector: { [hostnameLabel]: to } },
    });
  }
  await tell(store, own, { status: 'True', reason: plan.reason, message: plan.message });
}

async function end({ store, box, logger }: MaintenanceParts, own: Node): Promise<void> {
  const present = own.status?.conditions?.find(({ type }) => type === maintenanceCondition);
  if (present?.status !== 'True') return;
  logger.info({ box }, 'maintenance is over');
  for (const { metadata } of (await evacuations(store, box)).filter(isUnderWay)) {
    await store.delete(virtualMachineInstanceMigration, metadata.name, metadata.namespace);
  }
  await uncordon(store, box, 'maintenance');
  await tell(store, own, { status: 'False', reason: 'Ended', message: '' });
}

const evacuations = async (store: ResourceStore, box: string): Promise<VirtualMachineInstanceMigration[]> =>
  (await store.list(virtualMachineInstanceMigration, { labelSelector: `${evacuationLabel}=${box}`, consistent: true })).items;

async function tell(store: ResourceStore, own: Node, said: Pick<Condition, 'status' | 'reason' | 'message'>): Promise<void> {
  const present = own.status?.conditions?.find(({ type }) => type === maintenanceCondition);
  if (present?.status === said.status && present.reason === said.reason && present.message === said.message) return;
  await editStatus(store, node, { name: own.metadata.name }, (draft) => {
    draft.status = {
      ...draft.status,
      conditions: setCondition(draft.status?.conditions, { type: maintenanceCondition, ...said }),
    };
  });
}
