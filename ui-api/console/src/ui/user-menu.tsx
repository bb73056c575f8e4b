import { Divider, Dropdown, DropdownItem, DropdownList, MenuToggle, type MenuToggleElement } from '@patternfly/react-core';
import UserIcon from '@patternfly/react-icons/dist/esm/icons/user-icon';
import { useState, type Ref } from 'react';
import { useNavigate } from 'react-router';
import { client } from '../api/client.ts';
import { queryClient, useSession } from '../api/queries.ts';
import { text } from '../i18n/text.ts';
import { notifyProblem } from './toasts.tsx';

export function UserMenu({ onKeys }: { onKeys: () => void }) {
  const { user, role } = useSession();
  const [isOpen, setOpen] = useState(false);
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

  const toggle = (ref: Ref<MenuToggleElement>) => (
    <MenuToggle
      ref={ref}
      isExpanded={isOpen}
      onClick={() => setOpen(!isOpen)}
      icon={<UserIcon />}
      aria-label={text.masthead.user(user)}
      className="croft-user-toggle"
    >
      <span className="croft-user-name">{user}</span>
    </MenuToggle>
  );
  return (
    <Dropdown
      isOpen={isOpen}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      toggle={toggle}
      popperProps={{ position: 'right' }}
    >
      <DropdownList>
        <DropdownItem isAriaDisabled description={text.masthead.role(text.roles[role])}>
          {user}
        </DropdownItem>
        <DropdownItem onClick={onKeys}>{text.shortcuts.title}</DropdownItem>
        <DropdownItem to="/v1/openapi.json" target="_blank" rel="noreferrer">
          {text.masthead.apiDocs}
        </DropdownItem>
        <Divider component="li" />
        <DropdownItem onClick={() => void signOut()}>{text.masthead.signOut}</DropdownItem>
      </DropdownList>
    </Dropdown>
  );
}
