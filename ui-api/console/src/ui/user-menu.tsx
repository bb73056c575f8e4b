import { Divider, DropdownItem } from '@patternfly/react-core';
import UserIcon from '@patternfly/react-icons/dist/esm/icons/user-icon';
import { useNavigate } from 'react-router';
import { client } from '../api/client.ts';
import { queryClient, useSession } from '../api/queries.ts';
import { text } from '../i18n/text.ts';
import { Menu } from './menu.tsx';
import { notifyProblem } from './toasts.tsx';

export function UserMenu({ onKeys }: { onKeys: () => void }) {
  const { user, role } = useSession();
  const navigate = useNavigate();

  async function signOut(): Promise<void> {
    try {
      await client.request('DELETE', '/v1/session');
      queryClient.clear();
      await navigate('/signin');
    } catch (error) {
      notifyProblem(text.masthead.signOut, error);
    }
  }

  return (
    <Menu
      label={text.masthead.user(user)}
      toggle={{
        icon: <UserIcon />,
        className: 'croft-user-toggle',
        children: <span className="croft-user-name">{user}</span>,
      }}
      items={() => (
        <>
          <DropdownItem isAriaDisabled description={text.masthead.role(text.roles[role])}>
            {user}
          </DropdownItem>
          <DropdownItem onClick={onKeys}>{text.shortcuts.title}</DropdownItem>
          <DropdownItem to="/v1/openapi.json" target="_blank" rel="noreferrer">
            {text.masthead.apiDocs}
          </DropdownItem>
          <Divider component="li" />
          <DropdownItem onClick={() => void signOut()}>{text.masthead.signOut}</DropdownItem>
        </>
      )}
    />
  );
}
