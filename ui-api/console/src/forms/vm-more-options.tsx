import { Checkbox, ExpandableSection } from '@patternfly/react-core';
import { useState } from 'react';
import { text } from '../i18n/text.ts';
import { LongTextField, TextField } from '../ui/field.tsx';
import { SelectField } from '../ui/select-field.tsx';
import type { VmForm } from './vm-create-model.ts';

/** What has a good default and so needs no look. */
export function MoreOptions({ form, set }: { form: VmForm; set: (change: Partial<VmForm>) => void }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <ExpandableSection
      toggleText={isOpen ? text.create.less : text.create.more}
      isExpanded={isOpen}
      onToggle={(_event, open) => setOpen(open)}
    >
      <div className="croft-stack">
        <div className="croft-two">
          <TextField
            label={text.create.disk}
            pointer="/disks"
            value={form.disk}
            onChange={(disk) => set({ disk })}
            help={text.create.diskHelp}
          />
          <SelectField
            label={text.create.firmware}
            pointer="/firmware"
            value={form.firmware}
            onChange={(firmware) => set({ firmware: firmware as VmForm['firmware'] })}
            options={[
              { value: '', label: text.vm.firmwareNames.bios },
              { value: 'efi', label: text.vm.firmwareNames.efi },
            ]}
          />
        </div>
        <LongTextField
          label={text.create.sshKey}
          pointer="/sshKeys"
          value={form.sshKeys}
          onChange={(sshKeys) => set({ sshKeys })}
          help={text.create.sshKeyHelp}
          placeholder="ssh-ed25519 AAAA… ana@laptop"
        />
        <LongTextField
          label={text.create.userData}
          pointer="/userData"
          value={form.userData}
          onChange={(userData) => set({ userData })}
          help={text.create.userDataHelp}
          rows={5}
        />
        <Checkbox id="start" label={text.create.start} isChecked={form.start} onChange={(_event, start) => set({ start })} />
      </div>
    </ExpandableSection>
  );
}
