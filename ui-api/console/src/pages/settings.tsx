import type { ReactNode } from 'react';
import { useParams } from 'react-router';
import { useSession } from '../api/queries.ts';
import { text } from '../i18n/text.ts';
import { Empty } from '../ui/empty.tsx';
import { PageFrame } from '../ui/page-frame.tsx';
import { RoutedTabs } from '../ui/routed-tabs.tsx';
import { AboutTab } from './settings/about.tsx';
import { BackupTab } from './settings/backup.tsx';
import { CertificateTab } from './settings/certificate.tsx';
import { KubernetesTab } from './settings/kubernetes.tsx';
import { PoolsTab } from './settings/pools.tsx';
import { TokensTab } from './settings/tokens.tsx';
import { UpdatesTab } from './settings/updates.tsx';
import { UplinksTab } from './settings/uplinks.tsx';
import { UsersTab } from './settings/users.tsx';

const forAdmins =
  (Body: () => ReactNode): (() => ReactNode) =>
  () => (
    <AdminOnly>
      <Body />
    </AdminOnly>
  );

const bodies = {
  users: forAdmins(UsersTab),
  tokens: forAdmins(TokensTab),
  pools: () => <PoolsTab />,
  uplinks: () => <UplinksTab />,
  certificate: () => <CertificateTab />,
  backup: forAdmins(BackupTab),
  updates: () => <UpdatesTab />,
  kubernetes: forAdmins(KubernetesTab),
  about: () => <AboutTab />,
};
type TabName = keyof typeof bodies;
const tabs = Object.keys(bodies) as TabName[];

export function SettingsPage() {
  const { tab = 'users' } = useParams();
  return (
    <PageFrame title={text.settings.title}>
      <RoutedTabs
        label={text.settings.title}
        active={tabs.find((each) => each === tab) ?? 'users'}
        pathOf={(each) => `/settings/${each}`}
        tabs={tabs.map((name) => ({ name, title: text.settings.tabs[name], body: bodies[name] }))}
      />
    </PageFrame>
  );
}

function AdminOnly({ children }: { children: ReactNode }) {
  const { role } = useSession();
  if (role === 'admin') return <>{children}</>;
  return <Empty title={text.settings.adminOnly}>{text.roles.needs(text.roles.admin, text.roles[role])}</Empty>;
}
