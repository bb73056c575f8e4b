import DesktopIcon from '@patternfly/react-icons/dist/esm/icons/desktop-icon';
import TerminalIcon from '@patternfly/react-icons/dist/esm/icons/terminal-icon';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { Link, useNavigate } from 'react-router';
import type { Sparklines, Task, Vm } from '../../../client/types.ts';
import { sparklinesQuery, vmsQuery } from '../api/queries.ts';
import { Sparkline } from '../charts/sparkline.tsx';
import { formatBytes } from '../format.ts';
import { useRefusal } from '../hooks/use-role.ts';
import { text } from '../i18n/text.ts';
import { ActionButton } from '../ui/action-button.tsx';
import { Empty } from '../ui/empty.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { PageFrame } from '../ui/page-frame.tsx';
import { ResourceTable } from '../ui/resource-table.tsx';
import { StateReason } from '../ui/state-label.tsx';
import type { Column } from '../ui/table-sort.ts';
import { can, matchesVm, stateRefusal, vmKey, vmPath } from '../vm/state.ts';
import { taskWords, useVmTasks } from '../vm/running-tasks.tsx';
import { runVmAction, useVmActions } from '../vm/use-vm-actions.tsx';

const columnsWith = (lines: Sparklines['vms'], tasks: ReadonlyMap<string, Task>): readonly Column<Vm>[] => [
  {
    id: 'name',
    title: text.vms.name,
    sortValue: (vm) => vm.name,
    cell: (vm) => (
      <Link to={vmPath(vm)} className="croft-name">
        {vm.name}
      </Link>
    ),
  },
  {
    id: 'state',
    title: text.vms.state,
    sortValue: (vm) => vm.state,
    cell: (vm) => {
      const task = tasks.get(vmKey(vm));
      return <StateReason state={vm.state} reason={task ? taskWords(task) : vm.reason} />;
    },
  },
  {
    id: 'address',
    title: text.vms.address,
    sortValue: (vm) => vm.addresses[0],
    cell: (vm) => <span className="croft-mono">{vm.addresses[0] ?? '–'}</span>,
  },
  {
    id: 'size',
    title: text.vms.size,
    sortValue: (vm) => vm.memory,
    cell: (vm) => <span className="croft-nowrap">{text.vms.cpusMemory(vm.cpus, formatBytes(vm.memory))}</span>,
  },
  {
    id: 'cpu',
    title: text.charts.cpu,
    isMinor: true,
    cell: ({ id, name, cpus }) => (
      <Sparkline
        chart={text.charts.cpu}
        name={name}
        values={lines[id ?? '']?.cpu}
        ceiling={cpus}
        format={(value) => text.charts.cores(value.toFixed(2))}
      />
    ),
  },
  {
    id: 'memory',
    title: text.charts.memory,
    isMinor: true,
    cell: ({ id, name, memory }) => (
      <Sparkline
        chart={text.charts.memory}
        name={name}
        values={lines[id ?? '']?.memory}
        ceiling={memory}
        format={(value) => formatBytes(Math.round(value))}
      />
    ),
  },
  {
    id: 'network',
    title: text.vms.network,
    isMinor: true,
    cell: (vm) => [...new Set(vm.nics.map(({ network }) => network))].join(', ') || '–',
  },
  {
    id: 'console',
    title: text.vms.console,
    cell: (vm) =>
      can('console', vm) ? (
        <Link to={vmPath(vm, 'console')} className="croft-console-link" aria-label={`${text.vmActions.console}: ${vm.name}`}>
          <TerminalIcon />
        </Link>
      ) : (
        <span className="croft-quiet">–</span>
      ),
  },
];

/** All VMs: states change by themselves, actions are one click away. */
export function VmListPage() {
  const query = useQuery(vmsQuery);
  const { data: lines } = useQuery(sparklinesQuery);
  const tasks = useVmTasks();
  const columns = useMemo(() => columnsWith(lines?.vms ?? {}, tasks), [lines, tasks]);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const { actionsOf, askDelete, dialogs } = useVmActions();
  const refusal = useRefusal()('operator');
  const navigate = useNavigate();
  const create = (
    <>
      <ActionButton variant="secondary" refusal={refusal} onClick={() => void navigate('/vms/import')}>
        {text.import.short}
      </ActionButton>
      <ActionButton variant="primary" refusal={refusal} onClick={() => void navigate('/vms/new')}>
        {text.vms.create}
      </ActionButton>
    </>
  );

  return (
    <PageFrame title={text.vms.title} actions={create}>
      <Loaded query={query} what={text.vms.title}>
        {(vms) => {
          const chosen = vms.filter((vm) => selected.has(vmKey(vm)));
          return (
            <ResourceTable
              label={text.vms.title}
              rows={vms}
              columns={columns}
              idOf={vmKey}
              nameOf={(vm) => vm.name}
              matches={matchesVm}
              filterHelp={text.vms.filterHelp}
              actions={actionsOf}
              selection={{
                ids: selected,
                change: setSelected,
                actions: <BulkActions vms={chosen} refusal={refusal} onDelete={() => askDelete(chosen)} />,
              }}
              empty={
                <Empty title={text.vms.empty} icon={DesktopIcon} actions={create}>
                  {text.vms.emptyDetail}
                </Empty>
              }
            />
          );
        }}
      </Loaded>
      {dialogs}
    </PageFrame>
  );
}

/** Each acts on those of the chosen for which it is possible now. */
function BulkActions({ vms, refusal, onDelete }: { vms: readonly Vm[]; refusal: string | undefined; onDelete: () => void }) {
  return (
    <>
      {(['start', 'stop'] as const).map((action) => {
        const able = vms.filter((vm) => can(action, vm));
        return (
          <ActionButton
            key={action}
            variant="secondary"
            size="sm"
            refusal={refusal ?? (able.length === 0 && vms[0] ? stateRefusal(action, vms[0]) : undefined)}
            onClick={() => able.forEach((vm) => runVmAction(vm, action))}
          >
            {text.vmActions[action]}
          </ActionButton>
        );
      })}
      <ActionButton variant="secondary" size="sm" isDanger refusal={refusal} onClick={onDelete}>
        {text.vmActions.delete}
      </ActionButton>
    </>
  );
}
