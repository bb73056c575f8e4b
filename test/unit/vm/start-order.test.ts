import { describe, expect, it } from 'vitest';
import type { PrintableStatus, VirtualMachine, VirtualMachineInstance } from '../../../appliance/resources/virtual-machine.ts';
import { planVm } from '../../../appliance/vm/plan-vm.ts';
import { createStartGate, patience, startOrderAnnotation, waitsFor } from '../../../appliance/vm/start-order.ts';

const vm = (
  name: string,
  order?: number,
  printableStatus: PrintableStatus = 'Stopped',
  runStrategy: 'Always' | 'Manual' = 'Always',
) =>
  ({
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name, namespace: 'default', annotations: order === undefined ? {} : { [startOrderAnnotation]: String(order) } },
    spec: { runStrategy, template: { spec: { domain: { devices: {} } } } },
    status: { printableStatus },
  }) satisfies VirtualMachine as VirtualMachine;

const namesOf = (vms: VirtualMachine[]) => vms.map(({ metadata }) => metadata.name);

describe('after a reboot', () => {
  it('a VM waits for those with a lower order, and those without an order for all', () => {
    const all = [vm('db', 1), vm('app', 2), vm('web')];
    expect(namesOf(waitsFor(all[0]!, all, 0))).toEqual([]);
    expect(namesOf(waitsFor(all[1]!, all, 0))).toEqual(['db']);
    expect(namesOf(waitsFor(all[2]!, all, 0))).toEqual(['db', 'app']);
    const up = [vm('db', 1, 'Running'), all[1]!, all[2]!];
    expect(namesOf(waitsFor(up[1]!, up, 0))).toEqual([]);
  });

  it('nobody waits for a VM that is not to run, nor for ever', () => {
    const all = [vm('db', 1), vm('off', 0, 'Stopped', 'Manual'), vm('app', 2)];
    expect(namesOf(waitsFor(all[2]!, all, patience))).toEqual(['db']);
    expect(namesOf(waitsFor(all[2]!, all, patience + 1))).toEqual([]);
  });

  it('the wait is a sentence, and no instance is made', () => {
    const all = [vm('db', 1), vm('app', 2)];
    const hold = createStartGate(() => all)(all[1]!);
    expect(hold).toBe('The box was rebooted: it starts after db (start order 1) runs.');
    const plan = planVm({ vm: all[1]!, instance: undefined, dataVolumes: new Map(), hold, now: new Date() });
    expect(plan.steps).toEqual([]);
    expect(plan.requeueAfter).toBe(1_000);
    expect(plan.status.conditions?.find(({ type }) => type === 'Ready')?.message).toBe(hold);
  });

  it('it starts again at once: a reboot is no crash', () => {
    const instance = {
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachineInstance',
      metadata: { name: 'app', namespace: 'default', uid: 'u' },
      spec: { domain: { devices: {} } },
      status: { phase: 'Failed', croft: { exit: 'NodeRebooted' } },
    } as VirtualMachineInstance;
    const { status } = planVm({ vm: vm('app'), instance, dataVolumes: new Map(), now: new Date() });
    expect(status.startFailure).toBeUndefined();
    expect(status.croft?.lastExit).toBe('NodeRebooted');
  });
});
