import { Alert, Card, CardBody, CardTitle } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import type { Node } from '../../../client/types.ts';
import { nodeQuery, nodesQuery, vmsQuery } from '../api/queries.ts';
import { formatBytes } from '../format.ts';
import { text } from '../i18n/text.ts';
import { UsageCharts } from '../charts/usage-charts.tsx';
import { Empty } from '../ui/empty.tsx';
import { Facts } from '../ui/facts.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { PageFrame } from '../ui/page-frame.tsx';
import { ResourceTable } from '../ui/resource-table.tsx';
import { StateLabel, StateReason } from '../ui/state-label.tsx';
import type { Column } from '../ui/table-sort.ts';

type Component = Node['components'][number];

const columns: readonly Column<Component>[] = [
  { id: 'name', title: text.node.component, sortValue: ({ name }) => name, cell: ({ name }) => <strong>{name}</strong> },
  { id: 'state', title: text.common.state, sortValue: ({ state }) => state, cell: ({ state }) => <StateLabel state={state} /> },
  { id: 'version', title: text.node.versionColumn, cell: ({ version }) => version ?? '–' },
  { id: 'message', title: text.node.message, cell: ({ message }) => message ?? '–' },
];

const accelerators: Record<string, string> = text.node.accelerators;

export function NodePage() {
  const query = useQuery(nodeQuery);
  const { data: boxes = [] } = useQuery(nodesQuery);
  return (
    <PageFrame title={text.node.title}>
      <Loaded query={query} what={text.node.title}>
        {(node) => (
          <div className="croft-stack">
            <div className="croft-cards">
              <Facts
                title={node.name}
                action={<StateLabel state={node.state} />}
                facts={[
                  [text.node.version, node.version ?? '–'],
                  [text.node.cpus, node.cpus ?? '–'],
                  [text.node.memory, formatBytes(node.memory)],
                  [text.node.reserved, formatBytes(node.memoryReserved)],
                  [text.node.free, formatBytes(node.memoryFree)],
                  [text.node.accelerator, accelerators[node.accelerator ?? 'unknown'] ?? node.accelerator],
                ]}
              />
              {boxes.length <= 1 && (
                <Alert variant="info" isInline title={text.node.single} className="croft-fit">
                  {text.node.singleDetail}
                </Alert>
              )}
            </div>
            {boxes.length > 1 && <Boxes boxes={boxes} self={node.name} />}
            <UsageCharts of="node" />
            <Card isCompact className="croft-card">
              <CardTitle component="h2">{text.node.components}</CardTitle>
              <CardBody>
                <ResourceTable
                  label={text.node.components}
                  rows={node.components}
                  columns={columns}
                  idOf={({ name }) => name}
                  nameOf={({ name }) => name}
                  empty={
                    <Empty title={text.node.emptyComponents} level="h3">
                      {text.node.emptyComponentsDetail}
                    </Empty>
                  }
                />
              </CardBody>
            </Card>
          </div>
        )}
      </Loaded>
    </PageFrame>
  );
}

/** All boxes of the cluster, and how many machines each holds. */
function Boxes({ boxes, self }: { boxes: readonly Node[]; self: string }) {
  const { data: vms = [] } = useQuery(vmsQuery);
  const machinesOn = (box: Node) => vms.filter(({ node }) => node === box.name).length;
  const boxColumns: readonly Column<Node>[] = [
    {
      id: 'name',
      title: text.common.name,
      sortValue: ({ name }) => name,
      cell: ({ name }) => (
        <>
          <strong>{name}</strong> {name === self && <span className="croft-quiet">({text.nodes.self})</span>}
        </>
      ),
    },
    {
      id: 'state',
      title: text.common.state,
      sortValue: ({ state }) => state,
      cell: ({ state, conditions }) => (
        <StateReason
          state={state}
          reason={state === 'ready' ? undefined : conditions.find(({ status }) => status === 'False')?.message}
        />
      ),
    },
    {
      id: 'role',
      title: text.nodes.role,
      cell: ({ role, witness }) => text.nodes.roles[witness ? 'witness' : role === 'agent' ? 'agent' : 'voter'],
    },
    { id: 'address', title: text.nodes.address, cell: ({ address }) => <span className="croft-mono">{address ?? '–'}</span> },
    { id: 'cpus', title: text.node.cpus, sortValue: ({ cpus }) => cpus, cell: ({ cpus }) => cpus ?? '–' },
    { id: 'memory', title: text.node.memory, sortValue: ({ memory }) => memory, cell: ({ memory }) => formatBytes(memory) },
    { id: 'machines', title: text.nodes.machines, sortValue: machinesOn, cell: machinesOn },
  ];
  return (
    <Card isCompact className="croft-card">
      <CardTitle component="h2">{text.nodes.list}</CardTitle>
      <CardBody>
        <ResourceTable
          label={text.nodes.list}
          rows={boxes}
          columns={boxColumns}
          idOf={({ name }) => name}
          nameOf={({ name }) => name}
          empty={null}
        />
      </CardBody>
    </Card>
  );
}
