import { Tab, Tabs, TabTitleText } from '@patternfly/react-core';
import { useEffect, useRef, type ReactNode } from 'react';
import { useNavigate } from 'react-router';

export type RoutedTab<Name extends string> = { name: Name; title: string; body: () => ReactNode };

type Props<Name extends string> = {
  label: string;
  tabs: readonly RoutedTab<Name>[];
  active: Name;
  /** Address of a tab. */
  pathOf: (tab: string) => string;
};

/** Parts of a page, each with an address of its own; only the one that is looked at is drawn. */
export function RoutedTabs<Name extends string>({ label, tabs, active, pathOf }: Props<Name>) {
  const navigate = useNavigate();
  const place = useRef<HTMLDivElement>(null);
  // On narrow screens the tabs scroll sideways; the present one must not be out of sight.
  useEffect(() => {
    const list = place.current?.querySelector<HTMLElement>('.pf-v6-c-tabs__list');
    const tab = list?.querySelector<HTMLElement>('.pf-m-current');
    if (!list || !tab) return;
    const [around, own] = [list.getBoundingClientRect(), tab.getBoundingClientRect()];
    list.scrollLeft += own.left - around.left - (around.width - own.width) / 2;
  }, [active]);
  return (
    <div ref={place}>
      <Tabs
        activeKey={active}
        onSelect={(_event, key) => void navigate(pathOf(String(key)))}
        aria-label={label}
        mountOnEnter
        unmountOnExit
        className="croft-tabs"
      >
        {tabs.map(({ name, title, body }) => (
          <Tab key={name} eventKey={name} title={<TabTitleText>{title}</TabTitleText>}>
            <div className="croft-tab-body">{name === active && body()}</div>
          </Tab>
        ))}
      </Tabs>
    </div>
  );
}
