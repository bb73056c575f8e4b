/** Snapshots, restores and clones: decisions, without store or guest. */
import { describe, expect, it } from 'vitest';
import { idLabel } from '../../../appliance/resources/identity.ts';
import type {
  SnapshotContent,
  VirtualMachineClone,
  VirtualMachineRestore,
  VirtualMachineSnapshot,
} from '../../../appliance/resources/snapshot.ts';
import type { VirtualMachine, VirtualMachineInstance } from '../../../appliance/resources/virtual-machine.ts';
import { cloneDraft, contentOf } from '../../../appliance/vm/snapshots/content.ts';
import { clonedByAnnotation, planClone } from '../../../appliance/vm/snapshots/plan-clone.ts';
import {
  patience,
  planRestore,
  restoreFinalizer,
  type RestoreObservation,
} from '../../../appliance/vm/snapshots/plan-restore.ts';
import { planSnapshot, snapshotDeadline, snapshotFinalizer } from '../../../appliance/vm/snapshots/plan-snapshot.ts';
import { splitSteps } from '../../../appliance/vm/snapshots/take.ts';

const now = Date.parse('2026-01-31T15:30:00Z');
const at = (ms: number) => new Date(now + ms).toISOString();

const vm: VirtualMachine = {
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  metadata: { name: 'a', namespace: 'default', uid: 'u', labels: { [idLabel]: 'id-a', team: 'x' } },
  spec: {
    runStrategy: 'Always',
    template: {
      spec: {
        hostname: 'a',
        domain: {
          firmware: { uuid: 'f' },
          devices: {
            disks: [
              { name: 'root', disk: {} },
              { name: 'iso', cdrom: {} },
            ],
            interfaces: [{ name: 'nic0', macAddress: '52:54:00:00:00:01' }],
          },
        },
        volumes: [
          { name: 'root', dataVolume: { name: 'a-root' } },
          { name: 'iso', persistentVolumeClaim: { claimName: 'cd' } },
          { name: 'seed', cloudInitNoCloud: { userData: '#cloud-config\nhostname: a\n' } },
        ],
      },
    },
  },
};
const content: SnapshotContent = contentOf(vm, [{ name: 'root', claim: 'a-root', volumeId: 'v1', size: 2 ** 20 }], 'snap-1');

const snapshot = (status?: VirtualMachineSnapshot['status'], metadata = {}): VirtualMachineSnapshot => ({
  apiVersion: 'snapshot.kubevirt.io/v1beta1',
  kind: 'VirtualMachineSnapshot',
  metadata: { name: 'a.s1', namespace: 'default', creationTimestamp: at(0), finalizers: [snapshotFinalizer], ...metadata },
  spec: { source: { kind: 'VirtualMachine', name: 'a' } },
  status,
});
const ready = snapshot({ phase: 'Succeeded', readyToUse: true, croft: { content } });

describe('a snapshot', () => {
  const plan = (object: VirtualMachineSnapshot, more = {}) =>
    planSnapshot({ snapshot: object, vm, disksPending: [], now, ...more }).step;

  it('is written down before it is begun, and repeated after a crash', () => {
    expect(plan(snapshot(undefined, { finalizers: [] }))).toEqual({ do: 'adorn' });
    expect(plan(snapshot())).toEqual({ do: 'begin' });
    expect(plan(snapshot({ phase: 'InProgress', croft: { content } }))).toEqual({ do: 'take' });
    expect(plan(ready)).toEqual({ do: 'none' });
    expect(plan(snapshot({}, { deletionTimestamp: at(0) }))).toEqual({ do: 'remove' });
  });

  it('waits for disks and restores, not for ever', () => {
    expect(plan(snapshot(), { disksPending: ['Disk a-root is being made.'] })).toMatchObject({ do: 'wait' });
    expect(plan(snapshot(), { disksPending: ['no'], now: now + snapshotDeadline + 1 })).toEqual({ do: 'fail', message: 'no' });
    expect(plan(snapshot(), { vm: { ...vm, status: { restoreInProgress: 'r' } } })).toMatchObject({ do: 'wait' });
    expect(plan(snapshot(), { vm: undefined })).toMatchObject({ do: 'fail' });
  });

  it('parts a driver’s steps around the instant', () => {
    const qmp = (execute: string) => ({ qmp: { execute, arguments: {} } });
    const host = (name: string) => ({ host: name, run: async () => undefined });
    const split = splitSteps([host('make'), qmp('blockdev-add'), qmp('blockdev-snapshot'), host('bind')]);
    expect(split.before).toHaveLength(2);
    expect(split.transaction).toEqual([qmp('blockdev-snapshot')]);
    expect(split.after).toHaveLength(1);
    expect(splitSteps([host('freeze')])).toMatchObject({ before: [{ host: 'freeze' }], transaction: [], after: [] });
  });
});

describe('a restore', () => {
  type Croft = NonNullable<NonNullable<VirtualMachineRestore['status']>['croft']>;
  const restore = (croft?: Croft, metadata = {}): VirtualMachineRestore => ({
    apiVersion: 'snapshot.kubevirt.io/v1beta1',
    kind: 'VirtualMachineRestore',
    metadata: { name: 'r', namespace: 'default', creationTimestamp: at(0), finalizers: [restoreFinalizer], ...metadata },
    spec: { target: { kind: 'VirtualMachine', name: 'a' }, virtualMachineSnapshotName: 'a.s1' },
    status: croft && { croft },
  });
  const instance: VirtualMachineInstance = {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: { name: 'a', namespace: 'default' },
    spec: vm.spec.template.spec,
    status: { phase: 'Running' },
  };
  const held: VirtualMachine = { ...vm, status: { restoreInProgress: 'r' } };
  const plan = (object: VirtualMachineRestore, more: Partial<RestoreObservation> = {}) =>
    planRestore({ restore: object, vm, instance, snapshot: ready, safety: undefined, lost: [], now, ...more }).action;

  it('saves, stops, puts back, lets go', () => {
    const safetySnapshot = 'a.before-restore-20260131-153000';
    expect(plan(restore())).toEqual({ do: 'begin', ran: true, safetySnapshot });
    expect(plan(restore({ step: 'saving', safetySnapshot }))).toEqual({ do: 'save', safetySnapshot });
    expect(plan(restore({ step: 'saving', safetySnapshot }), { safety: ready })).toEqual({ do: 'enter', step: 'stopping' });
    expect(plan(restore({ step: 'stopping', since: at(0) }))).toEqual({ do: 'hold' });
    expect(plan(restore({ step: 'stopping', since: at(0) }), { vm: held })).toEqual({ do: 'stop' });
    expect(plan(restore({ step: 'stopping', since: at(0) }), { vm: held, instance: undefined })).toEqual({
      do: 'enter',
      step: 'disks',
    });
    expect(plan(restore({ step: 'disks' }), { vm: held })).toEqual({ do: 'put-back' });
    expect(plan(restore({ step: 'releasing' }), { vm: held })).toEqual({ do: 'release' });
  });

  it('changes nothing when it cannot be done', () => {
    expect(plan(restore(), { snapshot: undefined })).toMatchObject({ do: 'fail' });
    expect(plan(restore(), { lost: ['Disk root was deleted.'] })).toEqual({ do: 'fail', message: 'Disk root was deleted.' });
    const failed = snapshot({ phase: 'Failed', error: { message: 'full' } });
    expect(plan(restore({ step: 'saving', safetySnapshot: 's' }), { safety: failed })).toMatchObject({ do: 'fail' });
    expect(
      plan(restore(), { vm: held, restore: { ...restore(), metadata: { ...restore().metadata, name: 'r2' } } }),
    ).toMatchObject({ do: 'wait' });
  });

  it('lets a VM go that does not stop, and when it is deleted itself', () => {
    const late = { vm: held, now: now + patience + 1 };
    expect(plan(restore({ step: 'stopping', since: at(0) }), late)).toMatchObject({ do: 'enter', step: 'releasing' });
    const gone = { deletionTimestamp: at(0) };
    expect(plan(restore({ step: 'stopping', since: at(0) }, gone), { vm: held })).toMatchObject({
      do: 'enter',
      step: 'releasing',
    });
    expect(plan(restore({ step: 'disks' }, gone), { vm: held })).toEqual({ do: 'put-back' });
    expect(plan(restore({ endedAt: at(0) }, gone))).toEqual({ do: 'let-go' });
  });
});

describe('a clone', () => {
  const clone = (status?: VirtualMachineClone['status']): VirtualMachineClone => ({
    apiVersion: 'clone.kubevirt.io/v1beta1',
    kind: 'VirtualMachineClone',
    metadata: { name: 'c', namespace: 'default' },
    spec: { source: { kind: 'VirtualMachine', name: 'a' }, target: { kind: 'VirtualMachine', name: 'b' } },
    status,
  });
  const base = { id: '0193e7a2-1111-7222-8333-444455556666', snapshot: undefined, target: undefined, dataVolumes: [], now };
  const plan = (object: VirtualMachineClone, more = {}) => planClone({ clone: object, ...base, ...more }).action;

  it('takes a snapshot, makes the VM, waits for its disks', () => {
    expect(plan(clone())).toMatchObject({ do: 'begin', targetName: 'b' });
    expect(plan(clone({ phase: 'SnapshotInProgress', snapshotName: 's' }))).toEqual({ do: 'snapshot' });
    expect(plan(clone({ phase: 'SnapshotInProgress' }), { snapshot: ready })).toEqual({ do: 'enter', phase: 'CreatingTargetVM' });
    expect(plan(clone({ phase: 'CreatingTargetVM' }))).toEqual({ do: 'create' });
    const target = { ...vm, metadata: { ...vm.metadata, annotations: { [clonedByAnnotation]: base.id } } };
    expect(plan(clone({ phase: 'CreatingTargetVM' }), { target })).toEqual({ do: 'enter', phase: 'RestoreInProgress' });
    expect(plan(clone({ phase: 'RestoreInProgress' }), { target })).toEqual({ do: 'succeed' });
    expect(plan(clone(), { target: vm })).toMatchObject({ do: 'fail' });
  });

  it('is a VM of its own: disks, MAC addresses, identity, host name', () => {
    const draft = cloneDraft(content, { source: 'a', name: 'b', namespace: 'default', start: false, annotations: {} });
    expect(draft.metadata.labels?.[idLabel]).not.toBe('id-a');
    expect(draft.metadata.labels).toMatchObject({ team: 'x' });
    const { domain, volumes, hostname } = draft.spec.template.spec;
    expect(hostname).toBe('b');
    expect(domain.firmware).toEqual({});
    expect(domain.devices).toEqual({ disks: [{ name: 'root', disk: {} }], interfaces: [{ name: 'nic0' }] });
    expect(volumes).toEqual([
      { name: 'root', dataVolume: { name: 'b-root' } },
      { name: 'seed', cloudInitNoCloud: { userData: '#cloud-config\nhostname: b\n' } },
    ]);
    expect(draft.spec.runStrategy).toBe('Halted');
    expect(draft.spec.dataVolumeTemplates?.[0]?.spec.source).toEqual({
      snapshot: { name: 'vmsnapshot-snap-1-volume-root', namespace: 'default' },
    });
  });
});
