/** A NIC, or several as a bond, and the VLANs they carry: a new uplink, or other settings of one. */
import { Checkbox } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import type { Uplink } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { nicsQuery } from '../api/queries.ts';
import { text } from '../i18n/text.ts';
import { CheckList } from '../ui/check-list.tsx';
import { ChoiceTiles } from '../ui/choice-tiles.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { SelectField } from '../ui/select-field.tsx';
import { nicChoices } from './nic-choices.ts';
import {
  areVlans,
  emptyUplink,
  fieldsOfForm,
  formOf,
  isComplete,
  isMtu,
  isVlan,
  patchOf,
  type Carries,
  type Mode,
  type UplinkForm,
} from './uplink-model.ts';
import { isName } from './vm-create-model.ts';

/** s; time enough to see that the box still answers. */
const confirmWithin = 60;
const ways: readonly Carries[] = ['all', 'some', 'one'];

export function EditUplink({ uplink, onClose }: { uplink?: Uplink; onClose: () => void }) {
  const [form, setForm] = useState<UplinkForm>(() => (uplink ? formOf(uplink) : emptyUplink));
  const [undoes, setUndoes] = useState(true);
  const { data: nics = [] } = useQuery(nicsQuery);
  const etag = useRef<string>(undefined);
  const set = (change: Partial<UplinkForm>) => setForm((before) => ({ ...before, ...change }));
  const { name, interfaces, mode, carries, vlans, access, native, mtu } = form;
  const nameError = name !== '' && !isName(name) ? text.create.nameBad : undefined;

  // What is saved is held against the version that was read: nobody's change is lost.
  useEffect(() => {
    if (!uplink) return;
    client.request('GET', `/v1/uplinks/${encodeURIComponent(uplink.name)}`).then(
      (answer) => (etag.current = answer.etag),
      // Without it the save is refused with the reason, which is where it can be read.
      () => undefined,
    );
  }, [uplink]);

  const query = undoes ? { confirmWithin } : {};
  const save = () =>
    uplink
      ? client.uplinks.patch(uplink.name, patchOf(uplink, form), query, etag.current ?? '"unread"')
      : client.uplinks.create({ name, ...fieldsOfForm(form) }, query);
  return (
    <Dialog
      title={uplink ? text.uplinks.editTitle(uplink.name) : text.uplinks.add}
      submit={uplink ? text.common.save : text.common.create}
      width="medium"
      isDisabled={name === '' || nameError !== undefined || !isComplete(form)}
      onSubmit={save}
      onClose={onClose}
    >
      {!uplink && (
        <TextField
          label={text.common.name}
          pointer="/name"
          isRequired
          value={name}
          onChange={(next) => set({ name: next })}
          error={nameError}
        />
      )}
      <CheckList
        legend={text.uplinks.interfaces}
        pointer="/interfaces"
        isRequired
        help={text.uplinks.interfacesHelp}
        choices={nicChoices(nics, uplink?.name, interfaces)}
        chosen={interfaces}
        onChange={(next) => set({ interfaces: next })}
        add={text.uplinks.otherDevice}
      />
      {interfaces.length > 1 && (
        <SelectField
          label={text.uplinks.mode}
          pointer="/mode"
          value={mode}
          onChange={(value) => set({ mode: value as Mode })}
          options={(['active-backup', 'lacp'] as const).map((value) => ({ value, label: text.uplinks.modes[value] }))}
        />
      )}
      <ChoiceTiles
        legend={text.uplinks.carries}
        value={carries}
        onChange={(value) => set({ carries: value as Carries })}
        choices={ways.map((value) => ({ value, title: text.uplinks.ways[value], detail: text.uplinks.wayDetails[value] }))}
      />
      {carries === 'some' && (
        <TextField
          label={text.uplinks.vlans}
          pointer="/vlans"
          isRequired
          value={vlans}
          onChange={(next) => set({ vlans: next })}
          help={text.uplinks.vlansHelp}
          error={vlans === '' || areVlans(vlans) ? undefined : text.networks.vlanHelp}
        />
      )}
      {carries === 'one' && (
        <TextField
          label={text.networks.vlan}
          pointer="/access"
          type="number"
          isRequired
          value={access}
          onChange={(next) => set({ access: next })}
          error={access === '' || isVlan(access) ? undefined : text.networks.vlanHelp}
        />
      )}
      <div className="croft-two">
        {carries !== 'one' && (
          <TextField
            label={text.uplinks.native}
            pointer="/native"
            type="number"
            value={native}
            onChange={(next) => set({ native: next })}
            help={text.uplinks.nativeHelp}
            error={native === '' || isVlan(native) ? undefined : text.networks.vlanHelp}
          />
        )}
        <TextField
          label={text.uplinks.mtu}
          pointer="/mtu"
          type="number"
          value={mtu}
          onChange={(next) => set({ mtu: next })}
          help={text.uplinks.mtuHelp}
          error={isMtu(mtu) ? undefined : text.uplinks.mtuBad}
        />
      </div>
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
