import { Tab, Tabs, TabTitleText } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { useNavigate, useParams } from 'react-router';
import { eventsQuery, useSession } from '../api/queries.ts';
import { text } from '../i18n/text.ts';
import { AuditTable } from '../ui/audit-table.tsx';
import { Empty } from '../ui/empty.tsx';
import { EventTable } from '../ui/event-table.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { PageFrame } from '../ui/page-frame.tsx';
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
  const navigate = useNavigate();
  const active = tabs.find((each) => each === tab) ?? 'tasks';
  return (
    <PageFrame title={text.activity.title}>
      <Tabs
        activeKey={active}
        onSelect={(_event, key) => void navigate(`/activity/${key}`)}
        aria-label={text.activity.title}
        mountOnEnter
        unmountOnExit
      >
        {tabs.map((each) => (
          <Tab key={each} eventKey={each} title={<TabTitleText>{text.activity.tabs[each]}</TabTitleText>}>
            <div className="croft-tab-body">{each === active && bodies[each]()}</div>
          </Tab>
        ))}
      </Tabs>
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
