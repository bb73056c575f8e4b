/** A VM's interfaces; moving one to another network is two clicks and touches nothing else. */
import { DropdownItem } from '@patternfly/react-core';
import NetworkWiredIcon from '@patternfly/react-icons/dist/esm/icons/network-wired-icon';
import { useQuery } from '@tanstack/react-query';
import type { Vm } from '../../../../client/types.ts';
import { client } from '../../api/client.ts';
import { networksQuery, queryClient, vmQuery, vmsQuery } from '../../api/queries.ts';
import { useRefusal } from '../../hooks/use-role.ts';
import { text } from '../../i18n/text.ts';
import { ActionButton } from '../../ui/action-button.tsx';
import { Empty } from '../../ui/empty.tsx';
import { Menu } from '../../ui/menu.tsx';
import { ResourceTable } from '../../ui/resource-table.tsx';
import type { Column } from '../../ui/table-sort.ts';
import { notify, notifyProblem } from '../../ui/toasts.tsx';

type Nic = Vm['nics'][number];

export function NetworkTab({ vm }: { vm: Vm }) {
  const columns: readonly Column<Nic>[] = [
    { id: 'nic', title: text.nics.nic, cell: ({ name }) => <strong>{name}</strong> },
    { id: 'network', title: text.nics.network, cell: (nic) => nic.network },
    {
      id: 'addresses',
      title: text.nics.addresses,
      cell: ({ addresses }) => <span className="croft-mono">{addresses.join(', ') || '–'}</span>,
    },
    { id: 'mac', title: text.nics.mac, cell: ({ mac }) => <span className="croft-mono">{mac ?? '–'}</span> },
    { id: 'model', title: text.nics.model, cell: ({ model }) => model },
    { id: 'change', title: text.nics.change, cell: (nic) => <ChangeNetwork vm={vm} nic={nic} /> },
  ];
  return (
    <>
      <p className="croft-quiet">{text.nics.liveHint}</p>
      <ResourceTable
        label={text.nics.title}
        rows={vm.nics}
        columns={columns}
        idOf={({ name }) => name}
        nameOf={({ name }) => name}
        empty={
          <Empty title={text.nics.empty} icon={NetworkWiredIcon}>
            {text.nics.emptyDetail}
          </Empty>
        }
      />
    </>
  );
}

function ChangeNetwork({ vm, nic }: { vm: Vm; nic: Nic }) {
  const { data: networks = [] } = useQuery(networksQuery);
  const { data: vms = [] } = useQuery(vmsQuery);
  const refusal = useRefusal()('operator');

  async function move(network: string): Promise<void> {
    try {
      const path = `/v1/vms/${encodeURIComponent(vm.name)}/nics/${encodeURIComponent(nic.name)}`;
      const { body } = await client.request<Vm>('PUT', path, { body: { network }, query: { project: vm.project } });
      queryClient.setQueryData(vmQuery(vm.name, vm.project).queryKey, body);
      notify({ variant: 'success', title: text.nics.moved(nic.name, network) });
    } catch (error) {
      notifyProblem(text.nics.changeFor(nic.name), error);
    }
  }

  const detailOf = (name: string, vlan: number | undefined): string => {
    const there = vms.filter(({ nics }) => nics.some(({ network }) => network === name)).length;
    return [vlan === undefined ? undefined : `${text.networks.vlan} ${vlan}`, text.nics.vmsThere(there)]
      .filter(Boolean)
      .join(' · ');
  };
  if (refusal !== undefined) {
    return (
      <ActionButton variant="secondary" size="sm" refusal={refusal} aria-label={text.nics.changeFor(nic.name)}>
        {text.nics.change}
      </ActionButton>
    );
  }
  return (
    <Menu
      label={text.nics.changeFor(nic.name)}
      toggle={{ variant: 'secondary', size: 'sm', children: text.nics.change }}
      onSelect={(network) => void move(network)}
      items={() =>
        networks.map(({ name, vlan, reason }) => (
          <DropdownItem
            key={name}
            value={name}
            {...(name === nic.network
              ? { isAriaDisabled: true, description: text.nics.here }
              : { description: reason ?? detailOf(name, vlan) })}
          >
            {name}
          </DropdownItem>
        ))
      }
    />
  );
}
