import { describe, expect, it } from 'vitest';
import { isOver, placeFrom, podNameOf, shadowPod, type Pod } from '../../../appliance/cluster/shadow-pod.ts';
import { idLabel } from '../../../appliance/resources/identity.ts';
import type { VirtualMachineInstance } from '../../../appliance/resources/virtual-machine.ts';
import { isDnsSubdomain } from '../../../appliance/store/validate.ts';

const id = '0197f6b0-0000-7000-8000-000000000001';
const instance = (spec: Partial<VirtualMachineInstance['spec']> = {}): VirtualMachineInstance => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: {
    name: 'web',
    namespace: 'shop',
    uid: '4c20276a-8d6e-4c3a-9b1e-000000000000',
    labels: { app: 'web', [idLabel]: id },
  },
  spec: { domain: { devices: {}, memory: { guest: '1Gi' }, cpu: { cores: 2 } }, terminationGracePeriodSeconds: 30, ...spec },
});
const pod = (spec: Pod['spec'], status: Pod['status'] = {}, metadata: Partial<Pod['metadata']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'shop', ...metadata },
  spec,
  status,
});

describe('a shadow pod', () => {
  it('asks for the guest’s memory and overhead, a tenth of its CPUs, and outlives its grace', () => {
    const { spec } = shadowPod(instance(), id) as unknown as { spec: Record<string, unknown> };
    expect(spec).toMatchObject({
      terminationGracePeriodSeconds: 45,
      containers: [{ resources: { requests: { memory: '1088Mi', cpu: '200m' }, limits: { memory: '1088Mi' } } }],
    });
    expect(spec).not.toHaveProperty('nodeName');
  });

  it('takes wished CPU requests, and names the box where the guest runs already', () => {
    const wished = { domain: { devices: {}, resources: { requests: { cpu: '3' } } } };
    const { spec } = shadowPod(instance(wished), id, 'box-1') as unknown as { spec: Record<string, unknown> };
    expect(spec).toMatchObject({ nodeName: 'box-1', containers: [{ resources: { requests: { cpu: '3' } } }] });
  });

  it('is the instance’s, with its labels, but not its croft.io/id: that names one VM, not a pod', () => {
    const { metadata } = shadowPod(instance(), id);
    expect(metadata.ownerReferences).toMatchObject([{ kind: 'VirtualMachineInstance', name: 'web' }]);
    expect(metadata.labels).toMatchObject({ app: 'web', 'croft.io/vm': id });
    expect(metadata.labels).not.toHaveProperty([idLabel]);
  });

  it.each(['web', 'a'.repeat(253), `${'a'.repeat(239)}-.b`])('has a name that Kubernetes takes', (name) => {
    expect(isDnsSubdomain(podNameOf({ metadata: { name, uid: '4c20276a-8d6e' } }))).toBe(true);
  });
});

describe('the place that a pod gives', () => {
  it.each([
    ['none yet', undefined, 'none'],
    ['not scheduled', pod({}), 'waiting'],
    ['scheduled here', pod({ nodeName: 'box-1' }), 'here'],
    ['scheduled elsewhere', pod({ nodeName: 'box-2' }), 'elsewhere'],
    ['being deleted', pod({ nodeName: 'box-1' }, {}, { deletionTimestamp: '2026-01-01T00:00:00Z' }), 'withdrawn'],
    ['evicted', pod({ nodeName: 'box-1' }, { phase: 'Failed', reason: 'Evicted' }), 'withdrawn'],
    ['its program killed', pod({ nodeName: 'box-1' }, { phase: 'Failed' }), 'none'],
  ])('%s', (_what, found, state) => {
    expect(placeFrom(found, 'box-1').state).toBe(state);
  });

  it('says what the scheduler says', () => {
    const waiting = pod(
      {},
      { conditions: [{ type: 'PodScheduled', status: 'False', message: '0/1 nodes are available: 1 Insufficient cpu.' }] },
    );
    expect(placeFrom(waiting, 'box-1')).toMatchObject({ message: expect.stringContaining('Insufficient cpu') });
  });

  it('knows a pod that ended', () => {
    expect(isOver(pod({}, { phase: 'Succeeded' }))).toBe(true);
    expect(isOver(pod({}, { phase: 'Running' }))).toBe(false);
  });
});
