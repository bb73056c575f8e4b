import { MenuToggle, Select, SelectList, SelectOption, type MenuToggleElement } from '@patternfly/react-core';
import AdjustIcon from '@patternfly/react-icons/dist/esm/icons/adjust-icon';
import MoonIcon from '@patternfly/react-icons/dist/esm/icons/moon-icon';
import SunIcon from '@patternfly/react-icons/dist/esm/icons/sun-icon';
import { useState, type Ref } from 'react';
import { setTheme, useTheme, type Theme } from '../hooks/use-theme.ts';
import { text } from '../i18n/text.ts';

const icons = { system: <AdjustIcon />, light: <SunIcon />, dark: <MoonIcon /> } satisfies Record<Theme, unknown>;
const themes: readonly Theme[] = ['system', 'light', 'dark'];

export function ThemeMenu() {
  const theme = useTheme();
  const [isOpen, setOpen] = useState(false);
  const toggle = (ref: Ref<MenuToggleElement>) => (
    <MenuToggle
      ref={ref}
      variant="plain"
      isExpanded={isOpen}
      onClick={() => setOpen(!isOpen)}
      aria-label={`${text.masthead.theme}: ${text.masthead[theme]}`}
      icon={icons[theme]}
    />
  );
  return (
    <Select
      isOpen={isOpen}
      selected={theme}
      onOpenChange={setOpen}
      onSelect={(_event, value) => {
        setTheme(value as Theme);
        setOpen(false);
      }}
      toggle={toggle}
      popperProps={{ position: 'right' }}
    >
      <SelectList aria-label={text.masthead.theme}>
        {themes.map((each) => (
          <SelectOption key={each} value={each} icon={icons[each]}>
            {text.masthead[each]}
          </SelectOption>
        ))}
      </SelectList>
    </Select>
  );
}
