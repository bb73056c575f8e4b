import { useState } from 'react';
import type { TokenWithSecret } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import type { Role } from '../api/queries.ts';
import { text } from '../i18n/text.ts';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { SelectField } from '../ui/select-field.tsx';
import { isName } from './vm-create-model.ts';

const lifetimes = [7, 30, 90, 365];
const roles: readonly Role[] = ['viewer', 'operator', 'admin'];
const day = 86_400;

export function CreateToken({ onMade, onClose }: { onMade: (token: TokenWithSecret) => void; onClose: () => void }) {
  const [name, setName] = useState('');
  const [description, setDescription] = useState('');
  const [role, setRole] = useState<Role>('operator');
  const [days, setDays] = useState('90');
  const nameError = name !== '' && !isName(name) ? text.create.nameBad : undefined;
  const create = async () => {
    const { body } = await client.tokens.create({
      name,
      role,
      ...(days === '' ? {} : { ttlSeconds: Number(days) * day }),
      ...(description.trim() === '' ? {} : { description: description.trim() }),
    });
    onMade(body as TokenWithSecret);
  };
  return (
    <Dialog
      title={text.settings.tokenCreate}
      submit={text.common.create}
      isDisabled={name === '' || nameError !== undefined}
      onSubmit={create}
      onClose={onClose}
    >
      <TextField label={text.common.name} pointer="/name" isRequired value={name} onChange={setName} error={nameError} />
      <TextField label={text.common.description} pointer="/description" value={description} onChange={setDescription} />
      <SelectField
        label={text.settings.role}
        pointer="/role"
        value={role}
        onChange={(value) => setRole(value as Role)}
        options={roles.map((value) => ({ value, label: `${text.roles[value]}: ${text.roles[`${value}Hint`]}` }))}
      />
      <SelectField
        label={text.settings.tokenFor}
        value={days}
        onChange={setDays}
        options={[
          ...lifetimes.map((number) => ({ value: String(number), label: text.settings.days(number) })),
          { value: '', label: text.settings.tokenNever },
        ]}
      />
    </Dialog>
  );
}
