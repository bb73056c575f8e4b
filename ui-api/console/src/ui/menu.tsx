import { Dropdown, DropdownList, MenuToggle, type MenuToggleElement, type MenuToggleProps } from '@patternfly/react-core';
import { useState, type ReactNode, type Ref } from 'react';

type Props = {
  label: string;
  /** How its button looks. */
  toggle: Omit<MenuToggleProps, 'ref' | 'onClick' | 'isExpanded' | 'innerRef'>;
  onSelect?: (value: string) => void;
  /** Asked for when the menu is opened: a long table has many that never are. */
  items: () => ReactNode;
};

/** A button and the list it opens. */
export function Menu({ label, toggle, onSelect, items }: Props) {
  const [isOpen, setOpen] = useState(false);
  return (
    <Dropdown
      isOpen={isOpen}
      onOpenChange={setOpen}
      onSelect={(_event, value) => {
        setOpen(false);
        onSelect?.(String(value));
      }}
      toggle={(ref: Ref<MenuToggleElement>) => (
        <MenuToggle {...toggle} ref={ref} isExpanded={isOpen} onClick={() => setOpen(!isOpen)} aria-label={label} />
      )}
      popperProps={{ position: 'right' }}
    >
      <DropdownList>{isOpen && items()}</DropdownList>
    </Dropdown>
  );
}
