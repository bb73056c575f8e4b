/** Declares a VLAN in one small dialog; a network inside the box is one choice further. */
import { Checkbox } from '@patternfly/react-core';
import { useState } from 'react';
import { client } from '../api/client.ts';
import { text } from '../i18n/text.ts';
import { ChoiceTiles } from '../ui/choice-tiles.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { isName } from './vm-create-model.ts';

type Kind = 'vlan' | 'untagged' | 'isolated';
const kinds: readonly Kind[] = ['vlan', 'untagged', 'isolated'];

export function CreateNetwork({ onClose }: { onClose: () => void }) {
  const [kind, setKind] = useState<Kind>('vlan');
  const [vlan, setVlan] = useState('');
  const [ownName, setOwnName] = useState<string>();
  const [address, setAddress] = useState('');
  const [dhcp, setDhcp] = useState(false);
  const [nat, setNat] = useState(false);
  const name = ownName ?? (kind === 'vlan' && vlan !== '' ? `vlan${vlan}` : '');
  const nameError = name !== '' && !isName(name) ? text.create.nameBad : undefined;
  const vlanNumber = Number(vlan);
  const isVlanGood = kind !== 'vlan' || (Number.isInteger(vlanNumber) && vlanNumber >= 1 && vlanNumber <= 4094);
  const create = () =>
    client.networks.create({
      name,
      ...(kind === 'vlan' ? { vlan: vlanNumber } : {}),
      ...(kind === 'isolated' ? { isolated: true } : {}),
      ...(address.trim() === '' ? {} : { address: address.trim() }),
      ...(dhcp ? { dhcp } : {}),
      ...(nat ? { nat } : {}),
    });
  return (
    <Dialog
      title={text.networks.add}
      submit={text.common.create}
      width="medium"
      isDisabled={name === '' || nameError !== undefined || !isVlanGood}
      onSubmit={create}
      onClose={onClose}
    >
      <ChoiceTiles
        legend={text.networks.kindLabel}
        value={kind}
        onChange={(value) => setKind(value as Kind)}
        choices={kinds.map((value) => ({ value, title: text.networks.kinds[value] }))}
      />
      {kind === 'vlan' && (
        <TextField
          label={text.networks.vlan}
          pointer="/vlan"
          type="number"
          isRequired
          value={vlan}
          onChange={setVlan}
          help={text.networks.vlanHelp}
          error={vlan !== '' && !isVlanGood ? text.networks.vlanHelp : undefined}
        />
      )}
      <TextField label={text.common.name} pointer="/name" isRequired value={name} onChange={setOwnName} error={nameError} />
      <TextField
        label={text.networks.address}
        pointer="/address"
        value={address}
        onChange={setAddress}
        help={text.networks.addressHelp}
      />
      <Checkbox
        id="dhcp"
        label={text.networks.dhcp}
        description={text.networks.dhcpHelp}
        isChecked={dhcp}
        isDisabled={address.trim() === ''}
        onChange={(_event, on) => setDhcp(on)}
      />
      <Checkbox
        id="nat"
        label={text.networks.nat}
        description={text.networks.natHelp}
        isChecked={nat}
        isDisabled={address.trim() === ''}
        onChange={(_event, on) => setNat(on)}
      />
    </Dialog>
  );
}
