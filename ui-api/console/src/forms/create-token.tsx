import { useState } from 'react';
import type { TokenWithSecret } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { text } from '../i18n/text.ts';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { TokenFields, tokenFields, usualToken } from '../ui/token-fields.tsx';
import { isName } from './vm-create-model.ts';

export function CreateToken({ onMade, onClose }: { onMade: (token: TokenWithSecret) => void; onClose: () => void }) {
  const [name, setName] = useState('');
  const [description, setDescription] = useState('');
  const [choice, setChoice] = useState(usualToken);
  const nameError = name !== '' && !isName(name) ? text.create.nameBad : undefined;
  const create = async () => {
    const { body } = await client.tokens.create({
      name,
      ...tokenFields(choice),
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
      <TokenFields value={choice} onChange={setChoice} />
    </Dialog>
  );
}
