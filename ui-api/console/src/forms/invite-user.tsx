import { useState } from 'react';
import type { UserWithLink } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import type { Role } from '../api/queries.ts';
import { text } from '../i18n/text.ts';
import { ChoiceTiles } from '../ui/choice-tiles.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { isName } from './vm-create-model.ts';

/** Two fields, then a link for the new user. */
export function InviteUser({ onMade, onClose }: { onMade: (user: UserWithLink) => void; onClose: () => void }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('operator');
  const nameError = name !== '' && !isName(name) ? text.create.nameBad : undefined;
  const invite = async () => {
    const { body } = await client.users.create({ name, role });
    onMade(body as UserWithLink);
  };
  return (
    <Dialog
      title={text.settings.invite}
      description={text.settings.inviteHelp}
      submit={text.settings.inviteSubmit}
      width="medium"
      isDisabled={name === '' || nameError !== undefined}
      onSubmit={invite}
      onClose={onClose}
    >
      <TextField label={text.settings.user} pointer="/name" isRequired value={name} onChange={setName} error={nameError} />
      <ChoiceTiles
        legend={text.settings.role}
        value={role}
        onChange={(value) => setRole(value as Role)}
        choices={[
          { value: 'viewer', title: text.roles.viewer, detail: text.roles.viewerHint },
          { value: 'operator', title: text.roles.operator, detail: text.roles.operatorHint },
          { value: 'admin', title: text.roles.admin, detail: text.roles.adminHint },
        ]}
      />
    </Dialog>
  );
}
