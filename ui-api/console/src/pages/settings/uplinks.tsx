/** NICs and bonds by which VLANs leave the box. A change made from afar undoes itself unless it is confirmed. */
import { Alert, Button } from '@patternfly/react-core';
import NetworkWiredIcon from '@patternfly/react-icons/dist/esm/icons/network-wired-icon';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Uplink } from '../../../../client/types.ts';
import { client } from '../../api/client.ts';
import { uplinksQuery } from '../../api/queries.ts';
import { EditUplink } from '../../forms/edit-uplink.tsx';
import { formatTime } from '../../format.ts';
import { useRefusal } from '../../hooks/use-role.ts';
import { text } from '../../i18n/text.ts';
import { ActionButton } from '../../ui/action-button.tsx';
import { useConfirm } from '../../ui/confirm.tsx';
import { Empty } from '../../ui/empty.tsx';
import { Loaded } from '../../ui/loaded.tsx';
import { ResourceTable } from '../../ui/resource-table.tsx';
import { StateReason } from '../../ui/state-label.tsx';
import type { Column } from '../../ui/table-sort.ts';
import { notifyProblem } from '../../ui/toasts.tsx';

/** `VLAN 20 only`, `VLANs 10, 20; untagged: 10` or all. */
function vlansOf({ access, vlans, native }: Uplink): string {
  if (access !== undefined) return text.uplinks.accessOf(access);
  const tagged = vlans ? vlans.join(', ') : text.networks.allVlans;
  return native === undefined ? tagged : `${tagged}; ${text.uplinks.nativeOf(native)}`;
}

const columns: readonly Column<Uplink>[] = [
  { id: 'name', title: text.common.name, sortValue: ({ name }) => name, cell: ({ name }) => <strong>{name}</strong> },
  {
    id: 'state',
    title: text.common.state,
    sortValue: ({ state }) => state,
    cell: ({ state, reason }) => <StateReason state={state} reason={reason} />,
  },
  {
    id: 'members',
    title: text.uplinks.interfaces,
    cell: ({ interfaces, members }) => (
      <ul>
        {interfaces.map((name) => {
          const member = members.find((each) => each.name === name);
          return (
            <li key={name}>
              <span className="croft-mono">{name}</span>{' '}
              <span className="croft-quiet">{member?.message ?? text.uplinks.memberStates[member?.state ?? ''] ?? ''}</span>
            </li>
          );
        })}
      </ul>
    ),
  },
  { id: 'mode', title: text.uplinks.mode, cell: ({ mode }) => (mode ? text.uplinks.modes[mode] : '–') },
  { id: 'vlans', title: text.uplinks.vlans, cell: vlansOf },
  { id: 'mtu', title: text.uplinks.mtu, cell: ({ mtu }) => mtu ?? '–' },
];

export function UplinksTab() {
  const query = useQuery(uplinksQuery);
  const [isCreating, setCreating] = useState(false);
  const [editing, setEditing] = useState<Uplink>();
  const { ask, question } = useConfirm();
  const refusal = useRefusal()('admin');
  const add = (
    <ActionButton variant="primary" refusal={refusal} onClick={() => setCreating(true)}>
      {text.uplinks.add}
    </ActionButton>
  );
  return (
    <>
      {query.data
        ?.filter(({ confirmBefore }) => confirmBefore)
        .map((uplink) => (
          <Unconfirmed key={uplink.name} uplink={uplink} />
        ))}
      <Loaded query={query} what={text.settings.tabs.uplinks}>
        {(uplinks) => (
          <ResourceTable
            label={text.settings.tabs.uplinks}
            rows={uplinks}
            columns={columns}
            idOf={({ name }) => name}
            nameOf={({ name }) => name}
            tools={add}
            actions={(uplink) => [
              { id: 'edit', label: text.uplinks.edit, refusal, run: () => setEditing(uplink) },
              {
                id: 'delete',
                label: text.common.delete,
                refusal,
                isDanger: true,
                run: () =>
                  ask({
                    title: text.uplinks.deleteTitle(uplink.name),
                    body: text.uplinks.deleteBody,
                    submit: text.common.delete,
                    run: () => client.uplinks.remove(uplink.name),
                  }),
              },
            ]}
            empty={
              <Empty title={text.uplinks.empty} icon={NetworkWiredIcon} actions={add}>
                {text.uplinks.emptyDetail}
              </Empty>
            }
          />
        )}
      </Loaded>
      {isCreating && <EditUplink onClose={() => setCreating(false)} />}
      {editing && <EditUplink uplink={editing} onClose={() => setEditing(undefined)} />}
      {question}
    </>
  );
}

function Unconfirmed({ uplink: { name, confirmBefore = '' } }: { uplink: Uplink }) {
  const refusal = useRefusal()('admin');
  const keep = () => client.uplinks.act(name, 'confirm').catch((error: unknown) => notifyProblem(name, error));
  return (
    <Alert
      variant="warning"
      isInline
      title={text.uplinks.unconfirmed(name, formatTime(confirmBefore))}
      actionLinks={
        <Button variant="link" isInline isDisabled={refusal !== undefined} onClick={() => void keep()}>
          {text.uplinks.keep}
        </Button>
      }
    >
      {text.uplinks.unconfirmedDetail}
    </Alert>
  );
}
