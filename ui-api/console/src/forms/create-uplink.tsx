import { Checkbox } from '@patternfly/react-core';
import { useState } from 'react';
import { client } from '../api/client.ts';
import { text } from '../i18n/text.ts';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { SelectField } from '../ui/select-field.tsx';
import { isName } from './vm-create-model.ts';

type Mode = 'active-backup' | 'lacp';
/** s; time enough to see that the box still answers. */
const confirmWithin = 60;

const words = (typed: string): string[] => typed.split(/[\s,]+/).filter((word) => word !== '');

/** A NIC, or several as a bond, and the VLANs it carries. */
export function CreateUplink({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('lan');
  const [nics, setNics] = useState('');
  const [mode, setMode] = useState<Mode>('active-backup');
  const [typedVlans, setVlans] = useState('');
  const [undoes, setUndoes] = useState(true);
  const interfaces = words(nics);
  const vlans = words(typedVlans).map(Number);
  const isVlansGood = vlans.every((vlan) => Number.isInteger(vlan) && vlan >= 1 && vlan <= 4094);
  const nameError = name !== '' && !isName(name) ? text.create.nameBad : undefined;
  const create = () =>
    client.uplinks.create(
      {
        name,
        interfaces,
        ...(interfaces.length > 1 ? { mode } : {}),
        ...(vlans.length > 0 ? { vlans } : {}),
      },
      undoes ? { confirmWithin } : {},
    );
  return (
    <Dialog
      title={text.uplinks.add}
      submit={text.common.create}
      width="medium"
      isDisabled={name === '' || nameError !== undefined || interfaces.length === 0 || !isVlansGood}
      onSubmit={create}
      onClose={onClose}
    >
      <TextField label={text.common.name} pointer="/name" isRequired value={name} onChange={setName} error={nameError} />
      <TextField
        label={text.uplinks.interfaces}
        pointer="/interfaces"
        isRequired
        value={nics}
        onChange={setNics}
        help={text.uplinks.interfacesHelp}
      />
      {interfaces.length > 1 && (
        <SelectField
          label={text.uplinks.mode}
          pointer="/mode"
          value={mode}
          onChange={(value) => setMode(value as Mode)}
          options={(['active-backup', 'lacp'] as const).map((value) => ({ value, label: text.uplinks.modes[value] }))}
        />
      )}
      <TextField
        label={text.uplinks.vlans}
        pointer="/vlans"
        value={typedVlans}
        onChange={setVlans}
        help={text.uplinks.vlansHelp}
        error={isVlansGood ? undefined : text.networks.vlanHelp}
      />
      <Checkbox
        id="uplink-undoes"
        label={text.uplinks.undoes}
        description={text.uplinks.undoesHelp}
        isChecked={undoes}
        onChange={(_event, on) => setUndoes(on)}
      />
    </Dialog>
  );
}
