import { Tab, Tabs, TabTitleText } from '@patternfly/react-core';
import type { ReactNode } from 'react';
import { useNavigate, useParams } from 'react-router';
import { useSession } from '../api/queries.ts';
import { text } from '../i18n/text.ts';
import { Empty } from '../ui/empty.tsx';
import { PageFrame } from '../ui/page-frame.tsx';
import { AboutTab } from './settings/about.tsx';
import { PoolsTab } from './settings/pools.tsx';
import { TokensTab } from './settings/tokens.tsx';
import { UplinksTab } from './settings/uplinks.tsx';
import { UsersTab } from './settings/users.tsx';

const tabs = ['users', 'tokens', 'pools', 'uplinks', 'about'] as const;
type TabName = (typeof tabs)[number];

const bodies: Record<TabName, () => ReactNode> = {
  users: () => (
    <AdminOnly>
      <UsersTab />
    </AdminOnly>
  ),
  tokens: () => (
    <AdminOnly>
      <TokensTab />
    </AdminOnly>
  ),
  pools: () => <PoolsTab />,
  uplinks: () => <UplinksTab />,
  about: () => <AboutTab />,
};

export function SettingsPage() {
  const { tab = 'users' } = useParams();
  const navigate = useNavigate();
  const active = tabs.find((each) => each === tab) ?? 'users';
  return (
    <PageFrame title={text.settings.title}>
      <Tabs
        activeKey={active}
        onSelect={(_event, key) => void navigate(`/settings/${key}`)}
        aria-label={text.settings.title}
        mountOnEnter
        unmountOnExit
      >
        {tabs.map((each) => (
          <Tab key={each} eventKey={each} title={<TabTitleText>{text.settings.tabs[each]}</TabTitleText>}>
            <div className="croft-tab-body">{each === active && bodies[each]()}</div>
          </Tab>
        ))}
      </Tabs>
    </PageFrame>
  );
}

function AdminOnly({ children }: { children: ReactNode }) {
  const { role } = useSession();
  if (role === 'admin') return <>{children}</>;
  return <Empty title={text.settings.adminOnly}>{text.roles.needs(text.roles.admin, text.roles[role])}</Empty>;
}
