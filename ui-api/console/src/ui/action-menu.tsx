import { Dropdown, DropdownItem, DropdownList, MenuToggle, type MenuToggleElement } from '@patternfly/react-core';
import EllipsisVIcon from '@patternfly/react-icons/dist/esm/icons/ellipsis-v-icon';
import { useState, type Ref } from 'react';

export type Action = {
  id: string;
  label: string;
  run: () => void;
  /** Why it can't be done now; shown instead of hiding the action. */
  refusal?: string | undefined;
  isDanger?: boolean;
};

type Props = {
  label: string;
  /** Asked for when the menu is opened: a long table has many that never are. */
  actions: () => readonly Action[];
  title?: string;
};

/** The actions on one thing behind three dots, or behind `title`. */
export function ActionMenu({ label, actions, title }: Props) {
  const [isOpen, setOpen] = useState(false);
  const toggle = (ref: Ref<MenuToggleElement>) => (
    <MenuToggle
      ref={ref}
      isExpanded={isOpen}
      onClick={() => setOpen(!isOpen)}
      variant={title ? 'default' : 'plain'}
      aria-label={label}
      {...(title ? {} : { icon: <EllipsisVIcon /> })}
    >
      {title}
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
        {(isOpen ? actions() : []).map(({ id, label: words, run, refusal, isDanger }) => (
          <DropdownItem
            key={id}
            value={id}
            isDanger={isDanger && refusal === undefined}
            {...(refusal === undefined ? { onClick: run } : { isAriaDisabled: true, description: refusal })}
          >
            {words}
          </DropdownItem>
        ))}
      </DropdownList>
    </Dropdown>
  );
}
