import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { useParams } from 'react-router';
import { eventsQuery, useSession } from '../api/queries.ts';
import { text } from '../i18n/text.ts';
import { AuditTable } from '../ui/audit-table.tsx';
import { Empty } from '../ui/empty.tsx';
import { EventTable } from '../ui/event-table.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { PageFrame } from '../ui/page-frame.tsx';
import { RoutedTabs } from '../ui/routed-tabs.tsx';
import { TaskTable } from '../ui/task-table.tsx';

const tabs = ['tasks', 'events', 'audit'] as const;
type TabName = (typeof tabs)[number];

const bodies: Record<TabName, () => ReactNode> = {
  tasks: () => <TaskTable />,
  events: () => <Events />,
  audit: () => <Audit />,
};

export function ActivityPage() {
  const { tab = 'tasks' } = useParams();
  const active = tabs.find((each) => each === tab) ?? 'tasks';
  return (
    <PageFrame title={text.activity.title}>
      <RoutedTabs
        label={text.activity.title}
        active={active}
        pathOf={(each) => `/activity/${each}`}
        tabs={tabs.map((name) => ({ name, title: text.activity.tabs[name], body: bodies[name] }))}
      />
    </PageFrame>
  );
}

function Events() {
  const query = useQuery(eventsQuery());
  return (
    <Loaded query={query} what={text.activity.tabs.events}>
      {(events) => <EventTable events={events} />}
    </Loaded>
  );
}

function Audit() {
  const { role } = useSession();
  if (role !== 'admin')
    return <Empty title={text.activity.auditAdmin}>{text.roles.needs(text.roles.admin, text.roles[role])}</Empty>;
  return <AuditTable />;
}
