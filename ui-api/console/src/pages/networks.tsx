import { ToggleGroup, ToggleGroupItem } from '@patternfly/react-core';
import NetworkWiredIcon from '@patternfly/react-icons/dist/esm/icons/network-wired-icon';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Network } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { networksQuery, uplinksQuery, vmsQuery } from '../api/queries.ts';
import { CreateNetwork } from '../forms/create-network.tsx';
import { useRefusal } from '../hooks/use-role.ts';
import { includesText } from '../format.ts';
import { text } from '../i18n/text.ts';
import { ActionButton } from '../ui/action-button.tsx';
import { type Confirmation, useConfirm } from '../ui/confirm.tsx';
import { Empty } from '../ui/empty.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { PageFrame } from '../ui/page-frame.tsx';
import { ResourceTable } from '../ui/resource-table.tsx';
import { StateReason } from '../ui/state-label.tsx';
import type { Column } from '../ui/table-sort.ts';
import { kindOfNetwork, NetworkPicture } from '../ui/network-picture.tsx';

type View = 'table' | 'picture';

export function NetworksPage() {
  const query = useQuery(networksQuery);
  const { data: vms = [] } = useQuery(vmsQuery);
  const { data: uplinks = [] } = useQuery(uplinksQuery);
  const [view, setView] = useState<View>('table');
  const [isCreating, setCreating] = useState(false);
  const { ask, question } = useConfirm();
  const refusal = useRefusal()('operator');
  const vmsOn = (network: Network) => vms.filter(({ nics }) => nics.some((nic) => nic.network === network.name));

  const columns: readonly Column<Network>[] = [
    { id: 'name', title: text.common.name, sortValue: ({ name }) => name, cell: ({ name }) => <strong>{name}</strong> },
    {
      id: 'state',
      title: text.common.state,
      sortValue: ({ state }) => state,
      cell: ({ state, reason }) => <StateReason state={state} reason={state === 'ready' ? undefined : reason} />,
    },
    { id: 'kind', title: text.networks.kind, sortValue: ({ vlan }) => vlan ?? 0, cell: kindOfNetwork },
    {
      id: 'uplink',
      title: text.networks.uplink,
      sortValue: ({ uplink }) => uplink,
      cell: ({ uplink }) => uplink ?? text.networks.inside,
    },
    { id: 'address', title: text.networks.address, cell: ({ address }) => <span className="croft-mono">{address ?? '–'}</span> },
    {
      id: 'services',
      title: text.networks.services,
      cell: ({ dhcp, nat }) => [dhcp && text.networks.dhcp, nat && text.networks.nat].filter(Boolean).join(', ') || '–',
    },
    { id: 'leases', title: text.networks.leases, sortValue: ({ leases }) => leases.length, cell: ({ leases }) => leases.length },
    {
      id: 'vms',
      title: text.networks.vms,
      sortValue: (network) => vmsOn(network).length,
      cell: (network) => vmsOn(network).length,
    },
  ];
  const add = (
    <ActionButton variant="primary" refusal={refusal} onClick={() => setCreating(true)}>
      {text.networks.add}
    </ActionButton>
  );
  const views = (
    <ToggleGroup aria-label={text.networks.view} isCompact>
      {(['table', 'picture'] as const).map((each) => (
        <ToggleGroupItem
          key={each}
          text={text.networks[each]}
          buttonId={`networks-${each}`}
          isSelected={view === each}
          onChange={() => setView(each)}
        />
      ))}
    </ToggleGroup>
  );
  const remove = (network: Network): Confirmation => ({
    title: text.networks.deleteTitle(network.name),
    body: text.networks.deleteBody,
    submit: text.common.delete,
    run: () => client.networks.remove(network.name),
  });
  return (
    <PageFrame title={text.networks.title} actions={add}>
      <Loaded query={query} what={text.networks.title}>
        {(networks) =>
          view === 'picture' && networks.length > 0 ? (
            <>
              <div className="croft-view-bar">{views}</div>
              <NetworkPicture networks={networks} vms={vms} uplinks={uplinks} />
            </>
          ) : (
            <ResourceTable
              label={text.networks.title}
              rows={networks}
              columns={columns}
              idOf={({ name }) => name}
              nameOf={({ name }) => name}
              matches={({ name, vlan, address, uplink }, filter) => includesText(filter, name, vlan, address, uplink)}
              tools={views}
              actions={(network) => [
                {
                  id: 'delete',
                  label: text.common.delete,
                  refusal: refusal ?? (vmsOn(network).length > 0 ? text.networks.inUse(vmsOn(network).length) : undefined),
                  isDanger: true,
                  run: () => ask(remove(network)),
                },
              ]}
              empty={
                <Empty title={text.networks.empty} icon={NetworkWiredIcon} actions={add}>
                  {text.networks.emptyDetail}
                </Empty>
              }
            />
          )
        }
      </Loaded>
      {isCreating && <CreateNetwork onClose={() => setCreating(false)} />}
      {question}
    </PageFrame>
  );
}
