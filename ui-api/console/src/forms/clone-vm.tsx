import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Snapshot, Vm } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { vmsQuery } from '../api/queries.ts';
import { text } from '../i18n/text.ts';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { freeName, isName } from './vm-create-model.ts';

/** A new VM with copies of the disks as a snapshot holds them. */
export function CloneVm({ vm, snapshot, onClose }: { vm: Vm; snapshot: Snapshot; onClose: () => void }) {
  const { data: vms = [] } = useQuery(vmsQuery);
  const names = vms.map((each) => each.name);
  const [name, setName] = useState(() => freeName(names, vm.name));
  const error = !isName(name) ? text.create.nameBad : names.includes(name) ? text.create.nameTaken : undefined;
  return (
    <Dialog
      title={text.snapshots.cloneTitle(snapshot.name)}
      description={text.snapshots.cloneBody}
      submit={text.snapshots.clone}
      isDisabled={error !== undefined}
      onSubmit={() => client.vms.act(vm.name, 'clone', { name, snapshot: snapshot.name }, { project: vm.project })}
      onClose={onClose}
    >
      <TextField label={text.common.name} pointer="/name" isRequired value={name} onChange={setName} error={error} />
    </Dialog>
  );
}
