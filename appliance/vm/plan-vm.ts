/**
 * What a VirtualMachine needs next: pure. Run strategies and start/stop requests as upstream's VM controller
 * reads them (kubevirt pkg/virt-controller/watch/vm). One call decides everything from what is observed now,
 * so that a repeated, late or lost event changes nothing.
 */
import { isDeepStrictEqual } from 'node:util';
import { setCondition } from '../resources/meta.ts';
import type { DataVolume } from '../resources/data-volume.ts';
import type {
  ExitReason,
  InstanceSpec,
  PrintableStatus,
  VirtualMachine,
  VirtualMachineInstance,
} from '../resources/virtual-machine.ts';
import type { CapturedTypes } from '../resources/instancetype.ts';
import { fixedNames, liveDisks } from './fixed-disks.ts';
import { epochOf } from './guest-shape.ts';
import { instanceSpecOf, isVersioned } from './instance-spec.ts';
import { isMigrating } from './migration/record.ts';
import { runStrategyOf } from './lifecycle.ts';
import { isFailure, isFinished } from './instance-phase.ts';

export type VmObservation = {
  vm: VirtualMachine;
  instance: VirtualMachineInstance | undefined;
  /** By name; only those the VM's templates name. */
  dataVolumes: ReadonlyMap<string, DataVolume>;
  /** Its instance type and preference, or why they cannot be used; absent: it names none. */
  types?: { types: CapturedTypes } | { failure: string };
  /** Why it may not start yet, in one sentence. */
  hold?: string;
  now: Date;
};

export type VmStep =
  | { do: 'create-data-volume'; name: string }
  | { do: 'create-instance'; epoch: number }
  | { do: 'update-instance'; spec: InstanceSpec }
  | { do: 'delete-instance' }
  | { do: 'release' };

export type VmPlan = {
  status: NonNullable<VirtualMachine['status']>;
  steps: VmStep[];
  /** ms until a deadline that no event announces. */
  requeueAfter?: number;
};

/** ms until a VM that waits for others looks again. */
const holdInterval = 1_000;

const healthyRunSeconds = 300;
const maxBackoffSeconds = 300;

/** Delay before the n-th restart in a row: 10 s doubling up to 5 min (upstream: 10 s to 5 min). */
export const backoffSeconds = (failures: number): number =>
  failures === 0 ? 0 : Math.min(maxBackoffSeconds, 10 * 2 ** (failures - 1));

export function planVm(observed: VmObservation): VmPlan {
  const { vm, instance } = observed;
  const status = settleStatus(observed);
  if (vm.metadata.deletionTimestamp) return planRemoval(observed, status);
  const failure = observed.types && 'failure' in observed.types ? observed.types.failure : undefined;
  const missing = (vm.spec.dataVolumeTemplates ?? []).filter((template) => !observed.dataVolumes.has(template.metadata.name));
  const steps: VmStep[] = missing.map((template) => ({ do: 'create-data-volume', name: template.metadata.name }));
  if (instance) {
    const wish = instanceWish(vm, instance, status);
    if (wish === 'delete' && !instance.metadata.deletionTimestamp) steps.push({ do: 'delete-instance' });
    if (wish === 'keep') {
      const spec = liveChanges(wishedSpec(vm, status), instance);
      if (spec) steps.push({ do: 'update-instance', spec });
    }
    return finish(observed, status, steps);
  }
  if (failure !== undefined || !wantsStart(vm, status)) return finish(observed, status, steps);
  const waitMs = retryDelay(status, observed.now);
  if (waitMs > 0) return { ...finish(observed, status, steps), requeueAfter: waitMs };
  if (observed.hold !== undefined) return { ...finish(observed, status, steps), requeueAfter: holdInterval };
  if (missing.length > 0 || notReady(observed).length > 0) return finish(observed, status, steps);
  const epoch = (status.croft?.epoch ?? 0) + 1;
  const { machine, types } = status.croft ?? {};
  const kept = { ...(machine ? { machine } : {}), ...(types ? { types } : {}) };
  const started = { ...status, croft: { ...kept, epoch }, stateChangeRequests: markServed(status.stateChangeRequests, epoch) };
  return finish(observed, started, [...steps, { do: 'create-instance', epoch }]);
}

function planRemoval(observed: VmObservation, status: VmPlan['status']): VmPlan {
  const { instance } = observed;
  const steps: VmStep[] = [];
  if (!instance) steps.push({ do: 'release' });
  else if (!instance.metadata.deletionTimestamp) steps.push({ do: 'delete-instance' });
  return finish(observed, status, steps);
}

/** Folds the end of an instance and served requests into the status. */
function settleStatus({ vm, instance, types, now }: VmObservation): VmPlan['status'] {
  const status = { ...vm.status };
  const [request, ...rest] = status.stateChangeRequests ?? [];
  if (request?.action === 'Stop' && (!instance || (request.uid !== undefined && request.uid !== instance.metadata.uid))) {
    status.stateChangeRequests = rest.length > 0 ? rest : undefined;
    if (!instance) status.croft = { ...status.croft, lastExit: 'Stopped' };
  }
  if (request?.action === 'Start' && instance && serves(instance, request)) {
    status.stateChangeRequests = rest.length > 0 ? rest : undefined;
  }
  // A type that cannot be used any more changes nothing of what was captured.
  if (types && 'types' in types && !same(types.types, status.croft?.types ?? {})) {
    const { types: _before, ...croft } = status.croft ?? {};
    status.croft = vm.spec.instancetype || vm.spec.preference ? { ...croft, types: types.types } : croft;
  }
  const machine = instance?.status?.machine?.type;
  if (machine !== undefined && status.croft?.machine !== machine) status.croft = { ...status.croft, machine };
  const exit = instance && isFinished(instance) ? instance.status?.croft?.exit : undefined;
  if (exit && status.croft?.lastExit !== exit) {
    status.croft = { ...status.croft, lastExit: exit, lastExitMessage: readyMessage(instance) };
    status.startFailure = countFailure(vm, instance as VirtualMachineInstance, exit, now);
  }
  return status;
}

type Request = NonNullable<VmPlan['status']['stateChangeRequests']>[number];

/**
 * A request to start is dropped only once its instance is there: the status is written before the instance is
 * made, and a crash in between must not lose it. Until then it carries the epoch it is served by.
 */
const markServed = (requests: Request[] | undefined, epoch: number): Request[] | undefined =>
  requests?.map((request, index) =>
    index === 0 && request.action === 'Start' ? { ...request, data: { ...request.data, epoch: String(epoch) } } : request,
  );

/** The instance runs, or it is the very one the request led to (and has ended already). */
const serves = (instance: VirtualMachineInstance, request: Request): boolean =>
  !isFinished(instance) || request.data?.epoch === String(epochOf(instance));

function countFailure(vm: VirtualMachine, instance: VirtualMachineInstance, exit: ExitReason, now: Date) {
  // A box that died or was started anew says nothing about the VM: it starts again at once.
  if (!isFailure(exit) || exit === 'Fenced' || exit === 'NodeRebooted') return undefined;
  const ran = (now.getTime() - Date.parse(instance.metadata.creationTimestamp ?? now.toISOString())) / 1000;
  const failures = (ran >= healthyRunSeconds ? 0 : (vm.status?.startFailure?.consecutiveFailCount ?? 0)) + 1;
  return {
    consecutiveFailCount: failures,
    retryAfterTimestamp: new Date(now.getTime() + backoffSeconds(failures) * 1000).toISOString(),
  };
}

function instanceWish(vm: VirtualMachine, instance: VirtualMachineInstance, status: VmPlan['status']): 'keep' | 'delete' {
  if (isFinished(instance) || status.restoreInProgress !== undefined) return 'delete';
  if (runStrategyOf(vm.spec) === 'Halted') return 'delete';
  const request = status.stateChangeRequests?.[0];
  return request?.action === 'Stop' ? 'delete' : 'keep';
}

/** Should a VM without instance get one? */
function wantsStart(vm: VirtualMachine, status: VmPlan['status']): boolean {
  // Its disks are being put back: it may start when that is done.
  if (status.restoreInProgress !== undefined) return false;
  if (status.stateChangeRequests?.[0]?.action === 'Start') return true;
  const lastExit = status.croft?.lastExit as ExitReason | undefined;
  switch (runStrategyOf(vm.spec)) {
    case 'Always':
      return true;
    case 'RerunOnFailure':
      return lastExit === undefined || isFailure(lastExit);
    case 'Once':
      return lastExit === undefined;
    default:
      return false;
  }
}

function retryDelay(status: VmPlan['status'], now: Date): number {
  const requested = status.stateChangeRequests?.[0]?.action === 'Start';
  const retryAt = status.startFailure?.retryAfterTimestamp;
  return requested || !retryAt ? 0 : Math.max(0, Date.parse(retryAt) - now.getTime());
}

const notReady = ({ vm, dataVolumes }: VmObservation): DataVolume[] =>
  (vm.spec.dataVolumeTemplates ?? []).flatMap((template) => {
    const found = dataVolumes.get(template.metadata.name);
    return found && found.status?.phase !== 'Succeeded' ? [found] : [];
  });

/** What its instance would be if it were made now. */
export const wishedSpec = (vm: VirtualMachine, status: VmPlan['status']): InstanceSpec =>
  instanceSpecOf(vm, status.croft?.types, status.croft?.machine);

/** The instance's spec with what may change while it runs (NICs, networks, disks); undefined when nothing differs. */
function liveChanges(wish: InstanceSpec, instance: VirtualMachineInstance): InstanceSpec | undefined {
  const next = structuredClone(instance.spec);
  next.networks = wish.networks;
  const { disks, volumes } = liveDisks(wish, instance.spec);
  next.volumes = volumes;
  next.domain.devices.interfaces = wish.domain.devices.interfaces;
  next.domain.devices.disks = disks;
  return same(next, instance.spec) ? undefined : next;
}

/** True when the template differs from the running instance in what only a restart applies. */
function restartRequired(wish: InstanceSpec, instance: VirtualMachineInstance): boolean {
  const fixed = (spec: InstanceSpec) => {
    const { devices, ...domain } = spec.domain;
    // Pinned after the start that chose it: that is no change.
    const machine = isVersioned(domain.machine?.type) ? domain.machine.type : instance.status?.machine?.type;
    return {
      ...domain,
      fixedDisks: fixedNames(spec),
      machine,
      hostname: spec.hostname,
      graphics: devices.autoattachGraphicsDevice,
    };
  };
  return !same(fixed(wish), fixed(instance.spec));
}

/** As stored: a field that is undefined isn't there. */
const same = (a: unknown, b: unknown): boolean => isDeepStrictEqual(plain(a), plain(b));
const plain = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

function finish(observed: VmObservation, status: VmPlan['status'], steps: VmStep[]): VmPlan {
  const { vm, instance, now } = observed;
  const printable = printableStatus(observed, status, steps);
  const ready = printable === 'Running';
  const restart = instance !== undefined && !isFinished(instance) && restartRequired(wishedSpec(vm, status), instance);
  let conditions = setCondition(
    vm.status?.conditions,
    { type: 'Ready', status: ready ? 'True' : 'False', reason: printable, message: whyNot(observed, status, printable) },
    now,
  );
  conditions = conditions.filter((condition) => condition.type !== 'RestartRequired');
  const failure = observed.types && 'failure' in observed.types ? observed.types.failure : undefined;
  conditions = conditions.filter((condition) => condition.type !== 'Failure');
  if (failure !== undefined) {
    const before = (vm.status?.conditions ?? []).filter((condition) => condition.type === 'Failure');
    const told = { type: 'Failure', status: 'True', reason: 'FailedInstancetype', message: failure } as const;
    conditions = setCondition([...conditions, ...before], told, now);
  }
  if (restart) {
    conditions = setCondition(
      [...conditions, ...(vm.status?.conditions ?? []).filter((condition) => condition.type === 'RestartRequired')],
      { type: 'RestartRequired', status: 'True', reason: 'SpecChanged', message: 'A change waits for the next restart.' },
      now,
    );
  }
  return {
    status: {
      ...status,
      printableStatus: printable,
      created: instance !== undefined,
      ready,
      observedGeneration: vm.metadata.generation,
      conditions,
    },
    steps,
  };
}

function printableStatus(observed: VmObservation, status: VmPlan['status'], steps: VmStep[]): PrintableStatus {
  const { vm, instance } = observed;
  if (vm.metadata.deletionTimestamp) return 'Terminating';
  if (!instance || isFinished(instance)) {
    if (steps.some((step) => step.do === 'create-instance')) return 'Starting';
    if (!wantsStart(vm, status)) return 'Stopped';
    if (notReady(observed).some((volume) => volume.status?.phase === 'Failed')) return 'DataVolumeError';
    return (status.startFailure?.consecutiveFailCount ?? 0) > 0 ? 'CrashLoopBackOff' : 'Provisioning';
  }
  if (instance.metadata.deletionTimestamp || steps.some((step) => step.do === 'delete-instance')) return 'Stopping';
  if (instance.status?.conditions?.some((condition) => condition.type === 'Paused' && condition.status === 'True'))
    return 'Paused';
  if (instance.status?.conditions?.some((condition) => condition.type === 'Responsive' && condition.status === 'False'))
    return 'Unknown';
  if (isMigrating(instance)) return 'Migrating';
  if (instance.status?.phase === 'Running') return 'Running';
  return instance.status?.reason === 'Unschedulable' ? 'ErrorUnschedulable' : 'Starting';
}

/** One sentence for people; empty when all is as wished. */
function whyNot(observed: VmObservation, status: VmPlan['status'], printable: PrintableStatus): string {
  const { instance } = observed;
  switch (printable) {
    case 'Provisioning':
    case 'DataVolumeError': {
      if (observed.hold !== undefined) return observed.hold;
      const volumes = notReady(observed);
      if (volumes.length === 0) return 'Its disks are being made.';
      const said = (volume: DataVolume) => volume.status?.conditions?.find((condition) => condition.type === 'Ready')?.message;
      return volumes
        .map((volume) => said(volume) ?? `Disk ${volume.metadata.name} is ${volume.status?.phase ?? 'waiting'}.`)
        .join(' ');
    }
    case 'CrashLoopBackOff': {
      const { consecutiveFailCount: count, retryAfterTimestamp } = status.startFailure ?? {};
      return `${status.croft?.lastExitMessage ?? status.croft?.lastExit} That was ${count} ${count === 1 ? 'time' : 'times'} in a row; the next start is at ${retryAfterTimestamp}.`;
    }
    case 'Starting':
    case 'ErrorUnschedulable':
    case 'Paused':
    case 'Unknown':
    case 'Stopping':
      return readyMessage(instance) ?? '';
    default:
      return status.restoreInProgress === undefined ? '' : 'Its disks are being put back to a snapshot.';
  }
}

const readyMessage = (instance: VirtualMachineInstance | undefined): string | undefined =>
  instance?.status?.conditions?.find((condition) => condition.type === 'Ready')?.message;
