import { DropdownItem } from '@patternfly/react-core';
import EllipsisVIcon from '@patternfly/react-icons/dist/esm/icons/ellipsis-v-icon';
import { Menu } from './menu.tsx';

export type Action = {
  id: string;
  label: string;
  run: () => void;
  /** Why it can't be done now; shown instead of hiding the action. */
  refusal?: string | undefined;
  isDanger?: boolean;
};

/** The actions on one thing behind three dots. */
export const ActionMenu = ({ label, actions }: { label: string; actions: () => readonly Action[] }) => (
  <Menu
    label={label}
    toggle={{ variant: 'plain', icon: <EllipsisVIcon /> }}
    items={() =>
      actions().map(({ id, label: words, run, refusal, isDanger }) => (
        <DropdownItem
          key={id}
          value={id}
          isDanger={isDanger && refusal === undefined}
          {...(refusal === undefined ? { onClick: run } : { isAriaDisabled: true, description: refusal })}
        >
          {words}
        </DropdownItem>
      ))
    }
  />
);
