/** One VM: its state and why, its actions, and a tab for each part of it. */
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, type ReactNode } from 'react';
import { Link, useNavigate, useParams, useSearchParams } from 'react-router';
import type { Vm } from '../../../client/types.ts';
import { ApiProblem } from '../../../client/problem.ts';
import { vmQuery } from '../api/queries.ts';
import { formatBytes } from '../format.ts';
import { useRefusal } from '../hooks/use-role.ts';
import { text } from '../i18n/text.ts';
import { ActionButton } from '../ui/action-button.tsx';
import { ActionMenu } from '../ui/action-menu.tsx';
import { Empty } from '../ui/empty.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { PageFrame } from '../ui/page-frame.tsx';
import { RoutedTabs } from '../ui/routed-tabs.tsx';
import { StateLabel } from '../ui/state-label.tsx';
import { RunningTask } from '../vm/running-tasks.tsx';
import { can, stateRefusal, vmPath } from '../vm/state.ts';
import { ActivityTab } from '../vm/tabs/activity.tsx';
import { DisksTab } from '../vm/tabs/disks.tsx';
import { NetworkTab } from '../vm/tabs/network.tsx';
import { OverviewTab } from '../vm/tabs/overview.tsx';
import { SettingsTab } from '../vm/tabs/settings.tsx';
import { SnapshotsTab } from '../vm/tabs/snapshots.tsx';
import { WhyNot } from '../vm/why-not.tsx';
import { runVmAction, useVmActions } from '../vm/use-vm-actions.tsx';

const ConsoleTab = lazy(async () => ({ default: (await import('../vm/tabs/console.tsx')).ConsoleTab }));

const tabs = ['overview', 'console', 'disks', 'network', 'snapshots', 'activity', 'settings'] as const;
type TabName = (typeof tabs)[number];

const bodies: Record<TabName, (vm: Vm) => ReactNode> = {
  overview: (vm) => <OverviewTab vm={vm} />,
  console: (vm) => (
    <Suspense fallback={<p>{text.common.loading}</p>}>
      <ConsoleTab vm={vm} />
    </Suspense>
  ),
  disks: (vm) => <DisksTab vm={vm} />,
  network: (vm) => <NetworkTab vm={vm} />,
  snapshots: (vm) => <SnapshotsTab vm={vm} />,
  activity: (vm) => <ActivityTab vm={vm} />,
  settings: (vm) => <SettingsTab key={vm.id} vm={vm} />,
};

const titleOf = (tab: TabName, vm: Vm): string => {
  const counts: Partial<Record<TabName, number>> = { disks: vm.disks.length, network: vm.nics.length };
  return counts[tab] === undefined ? text.vm.tabs[tab] : `${text.vm.tabs[tab]} ${counts[tab]}`;
};

export function VmDetailPage() {
  const { name = '', tab = 'overview' } = useParams();
  const [search] = useSearchParams();
  const project = search.get('project') ?? 'default';
  const query = useQuery(vmQuery(name, project));
  const parent = { to: '/vms', title: text.vms.title };
  const isGone = query.error instanceof ApiProblem && query.error.status === 404;
  if (isGone) {
    return (
      <PageFrame title={name} parent={parent}>
        <Empty title={text.vm.gone(name)} actions={<Link to="/vms">{text.vms.title}</Link>}>
          {text.vm.goneDetail}
        </Empty>
      </PageFrame>
    );
  }
  if (!query.data) {
    return (
      <PageFrame title={name} parent={parent}>
        <Loaded query={query} what={name}>
          {() => null}
        </Loaded>
      </PageFrame>
    );
  }
  return <Detail vm={query.data} tab={tabs.find((each) => each === tab) ?? 'overview'} />;
}

function Detail({ vm, tab }: { vm: Vm; tab: TabName }) {
  const navigate = useNavigate();
  const refusal = useRefusal()('operator');
  const { actionsOf, dialogs } = useVmActions();
  const power = can('start', vm) && !can('restart', vm) ? 'start' : 'stop';
  const facts = [text.vms.cpusMemory(vm.cpus, formatBytes(vm.memory)), vm.os ?? vm.image, vm.addresses[0] ?? text.vms.noAddress];

  return (
    <PageFrame
      title={vm.name}
      parent={{ to: '/vms', title: text.vms.title }}
      badge={<StateLabel state={vm.state} />}
      subtitle={facts.filter(Boolean).join(' · ')}
      actions={
        <>
          <ActionButton variant="secondary" refusal={refusal ?? stateRefusal(power, vm)} onClick={() => runVmAction(vm, power)}>
            {text.vmActions[power]}
          </ActionButton>
          <ActionButton
            variant="primary"
            refusal={refusal ?? stateRefusal('console', vm)}
            onClick={() => void navigate(vmPath(vm, 'console'))}
          >
            {text.vm.openConsole}
          </ActionButton>
          <ActionMenu label={text.common.actionsFor(vm.name)} actions={() => actionsOf(vm)} />
        </>
      }
    >
      <WhyNot vm={vm} />
      <RunningTask vm={vm} />
      <RoutedTabs
        label={vm.name}
        active={tab}
        pathOf={(each) => vmPath(vm, each)}
        tabs={tabs.map((name) => ({ name, title: titleOf(name, vm), body: () => bodies[name](vm) }))}
      />
      {dialogs}
    </PageFrame>
  );
}
