/** A NIC, or several as a bond, and the VLANs they carry: a new uplink, or other settings of one. */
import { Checkbox } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import type { Uplink } from '../../../client/types.ts';
import { ApiProblem } from '../../../client/problem.ts';
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

const fieldWords: Partial<Record<keyof UplinkForm, string>> = {
  interfaces: text.uplinks.interfaces,
  mode: text.uplinks.mode,
  carries: text.uplinks.carries,
  vlans: text.uplinks.vlans,
  access: text.networks.vlan,
  native: text.uplinks.native,
  mtu: text.uplinks.mtu,
};
const wordsOf = (value: string | readonly string[]): string => (typeof value === 'string' ? value : value.join(', ')) || '–';
const differences = (yours: UplinkForm, now: UplinkForm): string[] =>
  (Object.entries(fieldWords) as [keyof UplinkForm, string][])
    .filter(([field]) => wordsOf(yours[field]) !== wordsOf(now[field]))
    .map(([field, words]) => text.vmSettings.staleField(words, wordsOf(yours[field]), wordsOf(now[field])));

export function EditUplink({ uplink, onClose }: { uplink?: Uplink; onClose: () => void }) {
  const [form, setForm] = useState<UplinkForm>(() => (uplink ? formOf(uplink) : emptyUplink));
  const [undoes, setUndoes] = useState(true);
  const { data: nics = [] } = useQuery(nicsQuery);
  /** The version that was read: what is saved is held against it, so that nobody's change is lost. */
  const read = useRef<{ uplink: Uplink | undefined; etag: string | undefined }>({ uplink, etag: undefined });
  const set = (change: Partial<UplinkForm>) => setForm((before) => ({ ...before, ...change }));
  const { name, interfaces, mode, carries, vlans, access, native, mtu } = form;
  const nameError = name !== '' && !isName(name) ? text.create.nameBad : undefined;

  async function readVersion(of: string): Promise<Uplink> {
    const { body, etag } = await client.request<Uplink>('GET', `/v1/uplinks/${encodeURIComponent(of)}`);
    read.current = { uplink: body, etag };
    return body;
  }

  useEffect(() => {
    // A failure shows when it is saved: without a version that is refused.
    if (uplink) readVersion(uplink.name).catch(() => undefined);
  }, []);

  const query = undoes ? { confirmWithin } : {};
  async function change(before: Uplink): Promise<void> {
    try {
      await client.uplinks.patch(before.name, patchOf(before, form), query, read.current.etag ?? '"unread"');
    } catch (error) {
      if (!(error instanceof ApiProblem && error.status === 412)) throw error;
      const now = formOf(await readVersion(before.name));
      setForm(now);
      throw new Error([text.vmSettings.staleDetail, ...differences(form, now)].join(' '), { cause: error });
    }
  }
  const save = () =>
    read.current.uplink ? change(read.current.uplink) : client.uplinks.create({ name, ...fieldsOfForm(form) }, query);
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
