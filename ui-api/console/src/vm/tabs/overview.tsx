import { Card, CardBody, CardTitle, ClipboardCopy } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import type { Vm } from '../../../../client/types.ts';
import { eventsQuery } from '../../api/queries.ts';
import { formatBytes } from '../../format.ts';
import { text } from '../../i18n/text.ts';
import { UsageCharts } from '../../charts/usage-charts.tsx';
import { Age } from '../../ui/age.tsx';
import { EventList } from '../../ui/event-list.tsx';
import { Facts } from '../../ui/facts.tsx';
import { vmPath } from '../state.ts';

const shownEvents = 6;

export function OverviewTab({ vm }: { vm: Vm }) {
  const { data: events = [] } = useQuery(eventsQuery({ name: vm.name, project: vm.project }));
  return (
    <div className="croft-stack">
      <div className="croft-cards">
        <Facts
          title={text.vm.hardware}
          facts={[
            [text.vm.cpus, vm.cpus],
            [text.vm.memory, `${formatBytes(vm.memory)}${vm.size ? ` (${vm.size})` : ''}`],
            [text.vm.firmware, text.vm.firmwareNames[vm.firmware]],
            [
              text.vm.tabs.disks,
              <Link key="disks" to={vmPath(vm, 'disks')}>
                {vm.disks.map(({ name, size }) => `${name} ${formatBytes(size)}`).join(', ') || text.common.none}
              </Link>,
            ],
            [
              text.vm.tabs.network,
              <Link key="nics" to={vmPath(vm, 'network')}>
                {vm.nics.map(({ name, network }) => `${name} → ${network}`).join(', ') || text.common.none}
              </Link>,
            ],
          ]}
        />
        <Facts
          title={text.vm.guest}
          facts={[
            [text.vm.os, vm.os ?? text.vm.osUnknown],
            [text.vm.addresses, <Addresses key="addresses" addresses={vm.addresses} />],
            [text.vm.image, vm.image ?? '–'],
            [text.vm.node, vm.node ?? '–'],
            [text.vm.created, <Age key="age" time={vm.createdAt} />],
            [
              text.vm.id,
              <span key="id" className="croft-mono croft-small">
                {vm.id ?? '–'}
              </span>,
            ],
          ]}
        />
        <Card isCompact className="croft-card croft-wide">
          <CardTitle component="h2">{text.overview.recent}</CardTitle>
          <CardBody>
            <EventList events={events.slice(0, shownEvents)} />
          </CardBody>
        </Card>
      </div>
      <UsageCharts of={{ vm: vm.name, project: vm.project }} />
    </div>
  );
}

function Addresses({ addresses }: { addresses: readonly string[] }) {
  if (addresses.length === 0) return <>{text.vms.noAddress}</>;
  return (
    <>
      {addresses.map((address) => (
        <ClipboardCopy
          key={address}
          variant="inline-compact"
          hoverTip={text.common.copy}
          clickTip={text.common.copied}
          copyAriaLabel={text.vm.copyAddress(address)}
        >
          {address}
        </ClipboardCopy>
      ))}
    </>
  );
}
