/** An import's plan → the images its files are sent to, and the VM made of them. Pure. */
import type { ImportPlan } from '../../../appliance/ovf/plan.ts';
import { singleUseAnnotation, usedByAnnotation, type image } from '../../../appliance/resources/croft-kinds.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import type { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import type { Draft } from '../../../appliance/store/store.ts';
import type { ImportBody } from '../../schemas/transfer.ts';
import { draftVm } from './vm-draft.ts';

/** SHA-256 of the descriptor that a VM was made of: the same import again goes on instead of failing. */
export const importAnnotation = 'croft.io/imported-from';

export function importedImages(plan: ImportPlan, body: ImportBody, project: string): Draft<typeof image>[] {
  const { pool, checksums = {} } = body;
  const annotations = { [singleUseAnnotation]: 'true', [usedByAnnotation]: `${project}/${plan.name}` };
  return plan.disks.flatMap(({ image: name, file }) => {
    if (name === undefined || file === undefined) return [];
    const checksum = checksums[file];
    return [
      {
        metadata: { name, labels: { [idLabel]: newId() }, annotations },
        spec: {
          source: { upload: {} },
          ...(checksum === undefined ? {} : { checksum }),
          ...(pool === undefined ? {} : { pool }),
        },
      },
    ];
  });
}

export function importedVm(plan: ImportPlan, body: ImportBody, project: string, digest: string): Draft<typeof virtualMachine> {
  const compatible = plan.devices === 'compatible';
  const draft = draftVm(
    {
      name: plan.name,
      cpus: plan.cpus,
      memory: plan.memory,
      firmware: plan.firmware,
      disks: plan.disks.map(({ name, image: source, size }) => ({
        name,
        bus: compatible ? 'sata' : 'virtio',
        ...(source === undefined ? {} : { image: source }),
        ...(size === undefined ? {} : { size }),
        ...(body.pool === undefined ? {} : { pool: body.pool }),
      })),
      nics: plan.nics.map(({ name, network, mac }) => ({
        name,
        network,
        model: compatible ? 'e1000e' : 'virtio',
        ...(mac === undefined ? {} : { mac }),
      })),
      ...(body.labels === undefined ? {} : { labels: body.labels }),
      start: body.start ?? false,
    },
    project,
  );
  // It has its own configuration: a seed would set its name and keys anew.
  const { spec } = draft.spec.template;
  spec.volumes = spec.volumes?.filter(({ name }) => name !== 'cloudinit');
  spec.domain.devices.disks = spec.domain.devices.disks?.filter(({ name }) => name !== 'cloudinit');
  draft.metadata.annotations = { ...draft.metadata.annotations, [importAnnotation]: digest };
  if (body.start) draft.spec.runStrategy = 'Always';
  return draft;
}
