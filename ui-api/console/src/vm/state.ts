/** What a VM's state allows: the same table as the API's, so a button and a 409 never disagree. Pure. */
import type { PrintableStatus } from '../../../../appliance/resources/virtual-machine.ts';
import { actionStates, isAllowed, stateOf, type VmAction } from '../../../../appliance/vm/lifecycle.ts';
import type { Vm } from '../../../client/types.ts';
import { text } from '../i18n/text.ts';
import { stateWord } from '../ui/state-label.tsx';

/** `crash-loop-back-off` → `CrashLoopBackOff`, the inverse of lifecycle.ts' stateOf. */
const printableOf = (state: string): PrintableStatus =>
  state.replace(/(?:^|-)([a-z])/g, (_match, letter: string) => letter.toUpperCase()) as PrintableStatus;

export const can = (action: VmAction, vm: Vm): boolean => isAllowed(action, printableOf(vm.state));

/** Why `action` is not possible in the VM's state; undefined when it is. */
export function stateRefusal(action: VmAction, vm: Vm): string | undefined {
  if (can(action, vm)) return undefined;
  const allowed = actionStates[action].map((state) => `“${stateWord(stateOf(state))}”`).join(text.vmActions.or);
  return text.vmActions.refused(stateWord(vm.state), allowed);
}

/** Address of a VM's page; the project is named only where it isn't the usual one. */
export const vmPath = (vm: Pick<Vm, 'name' | 'project'>, tab = 'overview'): string =>
  `/vms/${encodeURIComponent(vm.name)}/${tab}${vm.project === 'default' ? '' : `?project=${encodeURIComponent(vm.project)}`}`;

export const vmKey = (vm: Pick<Vm, 'name' | 'project'>): string => `${vm.project}/${vm.name}`;

/** True when every word of the filter fits: plain text, or `state:`, `net:`, `image:`, `node:` and a value. */
export function matchesVm(vm: Vm, filter: string): boolean {
  return filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
    .every((word) => {
      const [, field, value = ''] = /^(state|net|network|image|node):(.*)$/.exec(word) ?? [];
      if (field === 'state') return vm.state.startsWith(value);
      if (field === 'net' || field === 'network') return vm.nics.some(({ network }) => network.startsWith(value));
      if (field === 'image') return vm.image?.startsWith(value) ?? false;
      if (field === 'node') return vm.node?.startsWith(value) ?? false;
      const labels = Object.entries(vm.labels ?? {}).map(([key, label]) => `${key}=${label}`);
      return [vm.name, vm.project, vm.image ?? '', vm.state, ...vm.addresses, ...vm.nics.map(({ mac }) => mac ?? ''), ...labels]
        .join('\n')
        .toLowerCase()
        .includes(word);
    });
}
