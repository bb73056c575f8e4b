/** What a place in a cluster changes in an instance's plan. */
import { describe, expect, it } from 'vitest';
import type { VirtualMachineInstance } from '../../../appliance/resources/virtual-machine.ts';
import { instanceFinalizer, planInstance, type InstanceObservation } from '../../../appliance/vm/plan-instance.ts';
import type { Place } from '../../../appliance/vm/placement.ts';

const instance = (status: VirtualMachineInstance['status'] = {}): VirtualMachineInstance => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'a', namespace: 'default', uid: 'u', finalizers: [instanceFinalizer] },
  spec: { domain: { devices: {} }, terminationGracePeriodSeconds: 10 },
  status,
});
const running = { epoch: 1, state: 'running' as const };
const doing = (place: Place, rest: Partial<InstanceObservation> = {}) =>
  planInstance({
    instance: instance(),
    guest: undefined,
    ended: undefined,
    disksPending: [],
    memoryFree: 2 ** 40,
    now: 0,
    ...rest,
    place,
  }).step;

describe('without a guest', () => {
  it.each([
    [{ state: 'none' } as const, { do: 'place', here: false }],
    [{ state: 'waiting', message: 'no room' } as const, { do: 'wait', reason: 'Unschedulable', message: 'no room' }],
    [{ state: 'here' } as const, { do: 'launch' }],
    [{ state: 'withdrawn' } as const, { do: 'give-back' }],
    [{ state: 'elsewhere', node: 'b' } as const, { do: 'leave' }],
  ])('%j', (place, step) => {
    expect(doing(place)).toEqual(step);
  });

  it('asks for no place before its disks are there', () => {
    expect(doing({ state: 'none' }, { disksPending: ['Disk d is being made.'] })).toMatchObject({
      do: 'wait',
      reason: 'DisksPending',
    });
  });

  it('leaves what runs on another box alone, also when that box tells of nothing', () => {
    expect(doing({ state: 'elsewhere', node: 'b' }, { instance: instance({ phase: 'Running' }) })).toEqual({ do: 'leave' });
  });
});

describe('with a guest', () => {
  it('keeps it when the place is lost, and asks for the same box', () => {
    expect(doing({ state: 'none' }, { guest: running })).toEqual({ do: 'place', here: true });
  });

  it('shuts it down within its grace when the place is taken back, then forces it', () => {
    expect(doing({ state: 'withdrawn' }, { guest: running })).toEqual({ do: 'power-down' });
    expect(doing({ state: 'withdrawn' }, { guest: { ...running, poweredDownAt: 0 }, now: 9_999 })).toEqual({
      do: 'await-power-down',
    });
    expect(doing({ state: 'withdrawn' }, { guest: { ...running, poweredDownAt: 0 }, now: 10_000 })).toEqual({ do: 'kill' });
  });

  it('never ends it because a pod says that it is elsewhere', () => {
    expect(doing({ state: 'elsewhere', node: 'b' }, { guest: running })).toEqual({ do: 'sync' });
  });
});
