/** `?waitFor=`: answers when a VM is so far, by the store's watch; no polling on either side. */
import { CroftError, isCroftError } from '../../appliance/errors.ts';
import type { Kind } from '../../appliance/resources/kind.ts';
import { virtualMachine, virtualMachineInstance, type VirtualMachine } from '../../appliance/resources/virtual-machine.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import type { Vm } from '../schemas/vm.ts';
import { viewVm } from './views.ts';

/** Whether a VM is as `waitFor` says (`running`, `stopped`, `ip`, `agent`, `state=<state>`). Pure. */
export function isReached(vm: Vm, waitFor: string): boolean {
  if (waitFor === 'ip') return vm.addresses.length > 0;
  if (waitFor === 'agent') return vm.conditions.some(({ type, status }) => type === 'AgentConnected' && status === 'True');
  return vm.state === waitFor.replace(/^state=/, '');
}

export type Waited = { vm: VirtualMachine; view: Vm; reached: boolean };

/**
 * Waits at most `timeout` ms. On expiry the present view comes back with `reached: false`.
 * @throws CroftError `not-found` as soon as the VM is gone
 */
export async function waitForVm(
  store: ResourceStore,
  key: { name: string; namespace: string },
  waitFor: string,
  timeout: number,
  aborted: AbortSignal,
): Promise<Waited> {
  const look = async (): Promise<Waited> => {
    const vm = await store.get(virtualMachine, key.name, key.namespace);
    if (!vm) throw new CroftError('not-found', `There is no VM ${key.name} in project ${key.namespace}.`);
    const view = await viewVm(store, vm);
    return { vm, view, reached: isReached(view, waitFor) };
  };
  const done = new AbortController();
  const signal = AbortSignal.any([done.signal, aborted, AbortSignal.timeout(timeout)]);
  try {
    // Watching from before the first look: what happens between the two is not missed.
    const [vms, instances] = await Promise.all([
      store.list(virtualMachine, { namespace: key.namespace, limit: 1 }),
      store.list(virtualMachineInstance, { namespace: key.namespace, limit: 1 }),
    ]);
    const first = await look();
    if (first.reached || timeout === 0) return first;
    const found = await Promise.race([
      lookOnChange(store, virtualMachine, key, vms.resourceVersion, signal, look),
      lookOnChange(store, virtualMachineInstance, key, instances.resourceVersion, signal, look),
    ]);
    return found ?? (await look());
  } finally {
    done.abort();
  }
}

/** The first look that finds it reached; undefined when the signal ended the wait. */
async function lookOnChange(
  store: ResourceStore,
  kind: Kind,
  key: { name: string; namespace: string },
  resourceVersion: string,
  signal: AbortSignal,
  look: () => Promise<Waited>,
): Promise<Waited | undefined> {
  let from: string | undefined = resourceVersion;
  while (!signal.aborted) {
    try {
      for await (const { type, object } of store.watch(kind, { namespace: key.namespace, resourceVersion: from, signal })) {
        if (type === 'BOOKMARK' || object.metadata.name !== key.name) continue;
        const found = await look();
        if (found.reached) return found;
      }
      return undefined;
    } catch (error) {
      if (signal.aborted) return undefined;
      // Without a version the watch begins with all there is.
      if (!isCroftError(error, 'expired')) throw error;
      from = undefined;
    }
  }
  return undefined;
}
