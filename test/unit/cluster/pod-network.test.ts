import { describe, expect, it } from 'vitest';
import { planPodNetwork, podNic, startPodNetwork } from '../../../appliance/cluster/pod-network.ts';
import { podOfCgroups } from '../../../appliance/cluster/pod-process.ts';
import { podNameOf, type Pod } from '../../../appliance/cluster/shadow-pod.ts';
import { CroftError } from '../../../appliance/errors.ts';
import { silentLogger } from '../../../appliance/host/logger.ts';
import type { Informer } from '../../../appliance/reconcile/informer.ts';
import { idLabel } from '../../../appliance/resources/identity.ts';
import type { VirtualMachineInstance } from '../../../appliance/resources/virtual-machine.ts';
import type { KubeRequest } from '../../../appliance/store/kubernetes-client.ts';
import { eventually } from '../../helpers/eventually.ts';

const uid = '4c20276a-8d6e-4c3a-9b1e-0123456789ab';

describe('podOfCgroups', () => {
  it.each([
    ['cgroup v1, cgroupfs', `9:cpu:/lab/kubepods/burstable/pod${uid}/0a1b\n8:pids:/user\n`],
    ['guaranteed', `9:cpu:/kubepods/pod${uid}\n`],
    [
      'cgroup v2, systemd',
      `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uid.replaceAll('-', '_')}.slice/cri-containerd-0a.scope\n`,
    ],
  ])('reads %s', (_what, text) => expect(podOfCgroups(text)).toBe(uid)); // prettier-ignore

  it.each(['0::/\n', '0::/system.slice/k3s.service\n', '0::/kubepods/podx\n', ''])('finds none in %j', (text) =>
    expect(podOfCgroups(text)).toBeUndefined(),
  );
});

const nic = (name: string, more = {}) => ({ name, masquerade: {}, ...more });
const instance = (status: VirtualMachineInstance['status'], interfaces = [nic('default')]): VirtualMachineInstance => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachineInstance',
  metadata: { name: 'web', namespace: 'shop', uid, labels: { [idLabel]: 'id-1' } },
  spec: {
    domain: { devices: { interfaces } },
    networks: [
      { name: 'lan', multus: { networkName: 'lan' } },
      { name: 'default', pod: {} },
    ],
  },
  status,
}); // prettier-ignore
const running = (ready: 'True' | 'False' = 'True'): VirtualMachineInstance['status'] => ({
  phase: 'Running',
  nodeName: 'box-1',
  conditions: [{ type: 'Ready', status: ready, reason: ready === 'True' ? 'GuestRunning' : 'Paused', message: 'why' }],
});
const pod = (status: Pod['status'] = { podIP: '10.42.0.5' }, metadata: Partial<Pod['metadata']> = {}, node = 'box-1'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: podNameOf({ metadata: { name: 'web', uid } }),
    namespace: 'shop',
    uid: 'pod-1',
    ownerReferences: [{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstance', name: 'web', uid }],
    ...metadata,
  },
  spec: { nodeName: node },
  status,
});

describe('planPodNetwork', () => {
  it('links a running guest’s NIC of the pod network and opens the gate', () => {
    expect(planPodNetwork(instance(running()), pod(), 'box-1')).toMatchObject({
      link: { vmId: 'id-1', nic: 'default', podAddress: '10.42.0.5' },
      gate: { open: true },
    });
  });

  it('closes the gate of a guest that does not serve', () => {
    const plan = planPodNetwork(instance(running('False')), pod(), 'box-1');
    expect(plan).toEqual({ gate: { open: false, reason: 'Paused', message: 'why' } });
  });

  it('opens it without a link for a VM without such a NIC', () => {
    const plan = planPodNetwork(instance(running(), []), pod(), 'box-1');
    expect(plan).toMatchObject({ gate: { open: true } });
    expect(plan).not.toHaveProperty('link');
  });

  it.each([
    ['there is no pod', instance(running()), undefined],
    ['the pod is of another box', instance(running()), pod({ podIP: '10.42.1.5' }, {}, 'box-2')],
    ['the guest is on another box', instance({ ...running(), nodeName: 'box-2' }), pod()],
    ['the pod is going', instance(running()), pod({ podIP: '10.42.0.5' }, { deletionTimestamp: '2026-01-01T00:00:00Z' })],
    ['the pod has ended', instance(running()), pod({ phase: 'Failed', podIP: '10.42.0.5' })],
    ['it has no address yet', instance(running()), pod({})],
  ])('leaves it when %s', (_what, vmi, found) => expect(planPodNetwork(vmi, found, 'box-1')).toBeUndefined());

  it('knows the NIC by its network, and not one that is being unplugged', () => {
    expect(podNic(instance({}, [nic('lan'), nic('default')]).spec)).toBe('default');
    expect(podNic(instance({}, [nic('default', { state: 'absent' })]).spec)).toBeUndefined();
  });
});

describe('the controller', () => {
  const informerOf = (object: VirtualMachineInstance | Pod) =>
    ({
      get: () => object,
      list: () => [object],
      onChange: (listener: (type: string, object: unknown) => void) => {
        listener('added', object);
        return () => undefined;
      },
      synced: async () => undefined,
    }) as unknown as Informer<never>;

  const start = (linkPod: () => Promise<void>) => {
    const sent: KubeRequest[] = [];
    const client = {
      send: async (request: KubeRequest) => {
        sent.push(request);
        return {} as never;
      },
    };
    const network = startPodNetwork({
      client,
      pods: informerOf(pod()),
      instances: informerOf(instance(running())),
      linker: { linkPod },
      nodeName: 'box-1',
      logger: silentLogger(),
      findProcess: async () => 42,
    });
    const gate = () => (sent.at(-1)?.body as { status: { conditions: object[] } } | undefined)?.status.conditions[0];
    return { network, sent, gate };
  };

  it('opens the gate once the link stands', async () => {
    const linked: number[] = [];
    const { network, sent, gate } = start(async () => void linked.push(1));
    await eventually(() => gate() !== undefined);
    expect(linked.length).toBeGreaterThan(0);
    expect(gate()).toMatchObject({ type: 'croft.io/active', status: 'True' });
    expect(sent[0]?.path).toMatch(/^\/api\/v1\/namespaces\/shop\/pods\/vm-web-4c20276a\/status$/);
    await network.stop();
  });

  it('says in the gate why there is none', async () => {
    const { network, gate } = start(() => Promise.reject(new CroftError('unavailable', 'no address')));
    await eventually(() => gate() !== undefined);
    expect(gate()).toMatchObject({ status: 'False', reason: 'NotLinked', message: 'no address' });
    await network.stop();
  });
});
