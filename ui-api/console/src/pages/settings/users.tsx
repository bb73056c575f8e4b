import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { User, UserWithLink } from '../../../../client/types.ts';
import { client } from '../../api/client.ts';
import { usersQuery, useSession, type Role } from '../../api/queries.ts';
import { InviteUser } from '../../forms/invite-user.tsx';
import { includesText } from '../../format.ts';
import { text } from '../../i18n/text.ts';
import { ActionButton } from '../../ui/action-button.tsx';
import type { Action } from '../../ui/action-menu.tsx';
import { Age } from '../../ui/age.tsx';
import { useConfirm } from '../../ui/confirm.tsx';
import { Empty } from '../../ui/empty.tsx';
import { Loaded } from '../../ui/loaded.tsx';
import { ResourceTable } from '../../ui/resource-table.tsx';
import { ShownOnce } from '../../ui/shown-once.tsx';
import { StateLabel } from '../../ui/state-label.tsx';
import type { Column } from '../../ui/table-sort.ts';
import { notifyProblem } from '../../ui/toasts.tsx';

const roles: readonly Role[] = ['viewer', 'operator', 'admin'];

export function UsersTab() {
  const query = useQuery(usersQuery);
  const { user: me } = useSession();
  const [isInviting, setInviting] = useState(false);
  const { ask, question } = useConfirm();
  const [link, setLink] = useState<UserWithLink>();

  const columns: readonly Column<User>[] = [
    {
      id: 'name',
      title: text.settings.user,
      sortValue: ({ name }) => name,
      cell: ({ name }) => (
        <>
          <strong>{name}</strong> {name === me && <span className="croft-quiet">({text.settings.you})</span>}
        </>
      ),
    },
    { id: 'fullName', title: text.settings.fullName, cell: ({ fullName }) => fullName ?? '–' },
    { id: 'role', title: text.settings.role, sortValue: ({ role }) => role, cell: ({ role }) => text.roles[role] },
    { id: 'state', title: text.common.state, cell: ({ disabled }) => <StateLabel state={disabled ? 'disabled' : 'active'} /> },
    {
      id: 'last',
      title: text.settings.lastSignIn,
      sortValue: ({ lastSignIn }) => lastSignIn,
      cell: ({ lastSignIn }) => (lastSignIn ? <Age time={lastSignIn} /> : text.settings.never),
    },
  ];

  const change = (name: string, patch: Record<string, unknown>) => {
    client.users.patch(name, patch).catch((error: unknown) => notifyProblem(name, error));
  };
  const actionsOf = ({ name, role, disabled }: User): Action[] => [
    ...roles
      .filter((each) => each !== role)
      .map((each) => ({ id: each, label: text.settings.makeRole(text.roles[each]), run: () => change(name, { role: each }) })),
    {
      id: 'reset',
      label: text.settings.reset,
      run: () => {
        client.users.act(name, 'reset-password').then(
          ({ body }) => setLink(body as UserWithLink),
          (error: unknown) => notifyProblem(name, error),
        );
      },
    },
    {
      id: 'disable',
      label: disabled ? text.settings.enable : text.settings.disable,
      run: () => change(name, { disabled: !disabled }),
    },
    {
      id: 'delete',
      label: text.common.delete,
      isDanger: true,
      run: () =>
        ask({
          title: text.settings.deleteUserTitle(name),
          body: text.settings.deleteUserBody,
          submit: text.common.delete,
          run: () => client.users.remove(name),
        }),
    },
  ];
  const invite = (
    <ActionButton variant="primary" onClick={() => setInviting(true)}>
      {text.settings.invite}
    </ActionButton>
  );
  return (
    <>
      <Loaded query={query} what={text.settings.tabs.users}>
        {(users) => (
          <ResourceTable
            label={text.settings.tabs.users}
            rows={users}
            columns={columns}
            idOf={({ name }) => name}
            nameOf={({ name }) => name}
            matches={({ name, fullName, role }, filter) => includesText(filter, name, fullName, role)}
            tools={invite}
            actions={actionsOf}
            empty={
              <Empty title={text.settings.noUsers} actions={invite}>
                {text.settings.noUsersDetail}
              </Empty>
            }
          />
        )}
      </Loaded>
      {isInviting && <InviteUser onMade={setLink} onClose={() => setInviting(false)} />}
      {question}
      {link?.setupUrl && (
        <ShownOnce
          title={text.settings.linkTitle(link.name)}
          help={text.settings.linkHelp}
          value={new URL(link.setupUrl, location.origin).href}
          onClose={() => setLink(undefined)}
        />
      )}
    </>
  );
}
