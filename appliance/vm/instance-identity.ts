/** How an instance is named: in the store, and in what people are told about it. Pure. */
import type { VirtualMachineInstance } from '../resources/virtual-machine.ts';

export const keyOf = (instance: VirtualMachineInstance) => ({
  name: instance.metadata.name,
  namespace: instance.metadata.namespace as string,
});

/** Events about an instance are told of its VM: that is the name people know. */
export const aboutOf = (instance: VirtualMachineInstance, vmId: string) => ({
  kind: 'VirtualMachine',
  name: instance.metadata.name,
  project: instance.metadata.namespace,
  id: vmId,
});
