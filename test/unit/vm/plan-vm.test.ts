import { describe, expect, it } from 'vitest';
import type { DataVolume } from '../../../appliance/resources/data-volume.ts';
import type {
  ExitReason,
  RunStrategy,
  VirtualMachine,
  VirtualMachineInstance,
} from '../../../appliance/resources/virtual-machine.ts';
import { requestRestart, requestStart, requestStop } from '../../../appliance/vm/lifecycle.ts';
import { backoffSeconds, planVm } from '../../../appliance/vm/plan-vm.ts';

const now = new Date('2026-01-01T00:10:00Z');

const vmWith = (runStrategy: RunStrategy, status: VirtualMachine['status'] = {}): VirtualMachine => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  metadata: { name: 'a', namespace: 'default', uid: 'vm-uid', generation: 1 },
  spec: { runStrategy, template: { spec: { domain: { devices: {} } } } },
  status,
});

const instanceWith = (status: VirtualMachineInstance['status'], uid = 'vmi-uid'): VirtualMachineInstance => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'a', namespace: 'default', uid, creationTimestamp: '2026-01-01T00:09:00Z' },
  spec: { domain: { devices: {} } },
  status,
});

const ended = (exit: ExitReason) => instanceWith({ phase: exit === 'Crashed' ? 'Failed' : 'Succeeded', croft: { exit } });

const plan = (vm: VirtualMachine, instance?: VirtualMachineInstance, dataVolumes = new Map<string, DataVolume>()) =>
  planVm({ vm, instance, dataVolumes, now });
const doing = (vm: VirtualMachine, instance?: VirtualMachineInstance) => plan(vm, instance).steps.map((step) => step.do);

describe('run strategies', () => {
  it.each([
    ['Always', true],
    ['RerunOnFailure', true],
    ['Once', true],
    ['Manual', false],
    ['Halted', false],
  ] as const)('%s without an instance starts one: %s', (strategy, starts) => {
    expect(doing(vmWith(strategy))).toEqual(starts ? ['create-instance'] : []);
  });

  it.each([
    ['Always', 'GuestShutdown', true],
    ['RerunOnFailure', 'GuestShutdown', false],
    ['RerunOnFailure', 'NodeRebooted', true],
    ['Once', 'Crashed', false],
    ['Manual', 'Crashed', false],
  ] as const)('%s after %s starts again: %s', (strategy, lastExit, starts) => {
    expect(doing(vmWith(strategy, { croft: { epoch: 1, lastExit } }))).toEqual(starts ? ['create-instance'] : []);
  });

  it('counts epochs and forgets the last exit at each start', () => {
    const { status, steps } = plan(vmWith('Always', { croft: { epoch: 4, lastExit: 'GuestShutdown' } }));
    expect(steps).toEqual([{ do: 'create-instance', epoch: 5 }]);
    expect(status.croft).toEqual({ epoch: 5 });
  });
});

describe('requests', () => {
  it('Manual starts on request, which is dropped once its instance is there', () => {
    const vm = vmWith('Manual');
    expect(requestStart(vm)).toBe('status');
    const { steps, status } = plan(vm);
    expect(steps).toEqual([{ do: 'create-instance', epoch: 1 }]);
    // Cut off before the instance was made: the request still stands, and is served by the next epoch.
    const again = plan({ ...vm, status });
    expect(again.steps).toEqual([{ do: 'create-instance', epoch: 2 }]);
    const instance = instanceWith({ phase: 'Succeeded', croft: { exit: 'GuestShutdown' } });
    instance.metadata.annotations = { 'croft.io/epoch': '2' };
    expect(plan({ ...vm, status: again.status }, instance).status.stateChangeRequests).toBeUndefined();
  });

  it('a start asked for while an older instance is on its way out is kept', () => {
    const vm = vmWith('Manual', { croft: { epoch: 3 } });
    requestStart(vm);
    const older = ended('GuestShutdown');
    older.metadata.annotations = { 'croft.io/epoch': '3' };
    expect(plan(vm, older).status.stateChangeRequests).toEqual([{ action: 'Start' }]);
  });

  it('stop of Always halts it', () => {
    const vm = vmWith('Always');
    requestStop(vm, 'vmi-uid');
    expect(doing(vm, instanceWith({ phase: 'Running' }))).toEqual(['delete-instance']);
  });

  it('restart stops this instance only, then starts', () => {
    const vm = vmWith('Manual');
    requestRestart(vm, 'vmi-uid');
    expect(doing(vm, instanceWith({ phase: 'Running' }))).toEqual(['delete-instance']);
    const gone = plan(vm);
    expect(gone.status.stateChangeRequests).toEqual([{ action: 'Start', data: { epoch: '1' } }]);
    expect(gone.steps).toEqual([{ do: 'create-instance', epoch: 1 }]);
    const newer = plan(vm, instanceWith({ phase: 'Running' }, 'another-uid'));
    expect(newer.steps).toEqual([]);
  });
});

describe('ends', () => {
  it('removes a finished instance and remembers why it ended', () => {
    const { steps, status } = plan(vmWith('RerunOnFailure'), ended('GuestShutdown'));
    expect(steps).toEqual([{ do: 'delete-instance' }]);
    expect(status.croft?.lastExit).toBe('GuestShutdown');
    expect(status.startFailure).toBeUndefined();
  });

  it('backs off after crashes', () => {
    const { status } = plan(vmWith('Always', { startFailure: { consecutiveFailCount: 2 } }), ended('Crashed'));
    expect(status.startFailure).toEqual({ consecutiveFailCount: 3, retryAfterTimestamp: '2026-01-01T00:10:40.000Z' });
    const waiting = plan(vmWith('Always', { ...status, croft: { epoch: 1, lastExit: 'Crashed' } }));
    expect(waiting.steps).toEqual([]);
    expect(waiting.requeueAfter).toBe(40_000);
    expect(waiting.status.printableStatus).toBe('CrashLoopBackOff');
  });

  it('bounds the back-off', () => {
    expect([0, 1, 2, 3, 6, 50].map(backoffSeconds)).toEqual([0, 10, 20, 40, 300, 300]);
  });
});

describe('disks', () => {
  const template = { metadata: { name: 'a-root' }, spec: { source: { blank: {} } } };
  const vm = vmWith('Always');
  vm.spec.dataVolumeTemplates = [template];
  const volume = (phase: string): DataVolume => ({
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { name: 'a-root' },
    spec: template.spec,
    status: { phase },
  });

  it('are made first, and the start waits for them', () => {
    expect(plan(vm).steps).toEqual([{ do: 'create-data-volume', name: 'a-root' }]);
    const waiting = plan(vm, undefined, new Map([['a-root', volume('ImportInProgress')]]));
    expect([waiting.steps, waiting.status.printableStatus]).toEqual([[], 'Provisioning']);
    expect(plan(vm, undefined, new Map([['a-root', volume('Failed')]])).status.printableStatus).toBe('DataVolumeError');
    expect(plan(vm, undefined, new Map([['a-root', volume('Succeeded')]])).steps).toEqual([{ do: 'create-instance', epoch: 1 }]);
  });
});

describe('deletion', () => {
  it('ends the instance, then lets go', () => {
    const vm = vmWith('Always');
    vm.metadata.deletionTimestamp = now.toISOString();
    expect(doing(vm, instanceWith({ phase: 'Running' }))).toEqual(['delete-instance']);
    expect(doing(vm)).toEqual(['release']);
    expect(plan(vm).status.printableStatus).toBe('Terminating');
  });
});
