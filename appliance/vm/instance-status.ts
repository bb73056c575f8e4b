/** Writes an instance's status: phase with its transition time, conditions, addresses. Changes the draft it is given. */
import { setCondition, type Condition } from '../resources/meta.ts';
import type { ExitReason, VirtualMachineInstance } from '../resources/virtual-machine.ts';
import type { Guest, GuestAgentInfo, GuestRunState } from './hypervisor.ts';
import { exitSentence, isFailure } from './instance-phase.ts';

type Phase = NonNullable<NonNullable<VirtualMachineInstance['status']>['phase']>;

export function setPhase(draft: VirtualMachineInstance, phase: Phase, now = new Date()): void {
  const status = (draft.status ??= {});
  if (status.phase === phase) return;
  status.phase = phase;
  status.phaseTransitionTimestamps = [
    ...(status.phaseTransitionTimestamps ?? []),
    { phase, phaseTransitionTimestamp: now.toISOString() },
  ];
}

export function setInstanceCondition(draft: VirtualMachineInstance, condition: Condition): void {
  const status = (draft.status ??= {});
  status.conditions = setCondition(status.conditions, condition);
}

const dropCondition = (draft: VirtualMachineInstance, type: string): void => {
  if (draft.status?.conditions) draft.status.conditions = draft.status.conditions.filter((condition) => condition.type !== type);
};

/** Not started yet: why, in one sentence. */
export function setWaiting(draft: VirtualMachineInstance, reason: string, message: string): void {
  setPhase(draft, reason === 'Unschedulable' ? 'Pending' : 'Scheduling');
  (draft.status ??= {}).reason = reason;
  setInstanceCondition(draft, { type: 'Ready', status: 'False', reason, message });
}

const stateSentences: Partial<Record<GuestRunState, string>> = {
  paused: 'Its vCPUs are stopped; unpause to go on.',
  'io-error': 'A disk could not be written, so the guest was paused to keep its data whole; it resumes when space returns.',
  unresponsive: 'QEMU does not answer; a forced stop ends it.',
};

/** The guest runs: phase, Ready, Paused and Responsive conditions from its state. */
export function setRunning(
  draft: VirtualMachineInstance,
  state: GuestRunState,
  { pid, shape }: Pick<Guest, 'pid' | 'shape'>,
  /** Why it stands still, where that is known better. */
  hold?: string,
): void {
  setPhase(draft, 'Running');
  const status = (draft.status ??= {});
  delete status.reason;
  status.machine = { type: shape.machine };
  status.croft = { ...status.croft, pid };
  const sentence = (state === 'running' ? undefined : hold) ?? stateSentences[state];
  setInstanceCondition(draft, {
    type: 'Ready',
    status: state === 'running' ? 'True' : 'False',
    reason: reasonOf(state),
    message: sentence ?? '',
  });
  if (state === 'paused' || state === 'io-error') {
    setInstanceCondition(draft, {
      type: 'Paused',
      status: 'True',
      reason: state === 'io-error' ? 'PausedIOError' : hold === undefined ? 'PausedByUser' : 'PausedNoSpace',
      message: sentence,
    });
  } else dropCondition(draft, 'Paused');
  if (state === 'unresponsive')
    setInstanceCondition(draft, { type: 'Responsive', status: 'False', reason: 'QMPTimeout', message: sentence });
  else dropCondition(draft, 'Responsive');
}

const reasonOf = (state: GuestRunState): string =>
  state === 'running' ? 'GuestRunning' : state === 'io-error' ? 'IOError' : state === 'paused' ? 'Paused' : 'Unresponsive';

/** The guest has ended. */
export function setEnded(draft: VirtualMachineInstance, exit: ExitReason, detail?: string): void {
  setPhase(draft, isFailure(exit) ? 'Failed' : 'Succeeded');
  const status = (draft.status ??= {});
  status.reason = exit;
  status.interfaces = undefined;
  const { pid: _ended, ...croft } = status.croft ?? {};
  status.croft = { ...croft, exit };
  const message = detail ? `${exitSentence(exit)} ${detail}` : exitSentence(exit);
  setInstanceCondition(draft, { type: 'Ready', status: 'False', reason: exit, message });
  dropCondition(draft, 'Paused');
  dropCondition(draft, 'Responsive');
}

/** Addresses and names, from the agent where there is one, from DHCP leases otherwise. */
export function setGuestFacts(
  draft: VirtualMachineInstance,
  nics: readonly { name: string; mac: string }[],
  leases: (mac: string) => string[],
  agent: GuestAgentInfo | undefined,
): void {
  const status = (draft.status ??= {});
  status.interfaces = nics.map(({ name, mac }) => {
    const said = agent?.interfaces.find((candidate) => candidate.mac?.toLowerCase() === mac.toLowerCase());
    const addresses = said && said.addresses.length > 0 ? said.addresses : leases(mac);
    return {
      name,
      mac,
      ...(addresses[0] === undefined ? {} : { ipAddress: addresses[0], ipAddresses: addresses }),
      ...(said ? { interfaceName: said.name } : {}),
    };
  });
  if (agent?.os) status.guestOSInfo = agent.os;
  const assigned = status.interfaces.some((nic) => nic.ipAddress !== undefined);
  setInstanceCondition(draft, {
    type: 'AddressAssigned',
    status: assigned ? 'True' : 'False',
    reason: assigned ? 'HasAddress' : 'NoAddress',
  });
  if (agent) setInstanceCondition(draft, { type: 'AgentConnected', status: 'True', reason: 'AgentAnswers' });
  else dropCondition(draft, 'AgentConnected');
}
