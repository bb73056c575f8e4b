import { useState } from 'react';
import type { Snapshot, Vm } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { queryClient, snapshotsQuery } from '../api/queries.ts';
import { text } from '../i18n/text.ts';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { freeName, isName } from './vm-create-model.ts';

/** One field, filled in already: taking a snapshot is one key press more than wanting it. */
export function TakeSnapshot({ vm, taken, onClose }: { vm: Vm; taken: readonly Snapshot[]; onClose: () => void }) {
  const [name, setName] = useState(() =>
    freeName(
      taken.map((each) => each.name),
      'snapshot',
    ),
  );
  const error = !isName(name)
    ? text.create.nameBad
    : taken.some((each) => each.name === name)
      ? text.snapshots.nameTaken
      : undefined;
  async function take(): Promise<void> {
    await client.snapshots(vm.name).create({ name }, { project: vm.project });
    await queryClient.invalidateQueries({ queryKey: snapshotsQuery(vm.name, vm.project).queryKey });
  }
  return (
    <Dialog
      title={text.snapshots.takeTitle(vm.name)}
      description={text.snapshots.emptyDetail}
      submit={text.snapshots.take}
      isDisabled={error !== undefined}
      onSubmit={take}
      onClose={onClose}
    >
      <TextField label={text.common.name} pointer="/name" isRequired value={name} onChange={setName} error={error} />
    </Dialog>
  );
}
