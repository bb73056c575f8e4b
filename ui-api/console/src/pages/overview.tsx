/** What needs a person first, then capacity, machines and what happened lately. */
import { Card, CardBody, CardTitle } from '@patternfly/react-core';
import CheckCircleIcon from '@patternfly/react-icons/dist/esm/icons/check-circle-icon';
import ExclamationTriangleIcon from '@patternfly/react-icons/dist/esm/icons/exclamation-triangle-icon';
import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import type { Node, Vm } from '../../../client/types.ts';
import {
  certificateQuery,
  eventsQuery,
  imagesQuery,
  networksQuery,
  nodeQuery,
  poolsQuery,
  vmsQuery,
  volumesQuery,
} from '../api/queries.ts';
import { validityOf } from '../api/validity.ts';
import { formatAge, formatBytes } from '../format.ts';
import { text } from '../i18n/text.ts';
import { EventList } from '../ui/event-list.tsx';
import { Loaded } from '../ui/loaded.tsx';
import { Meter } from '../ui/meter.tsx';
import { PageFrame } from '../ui/page-frame.tsx';
import { isBad, stateWord } from '../ui/state-label.tsx';
import { Checklist } from '../ui/checklist.tsx';
import { vmPath } from '../vm/state.ts';

const shownEvents = 8;

type Need = { id: string; words: string; to: string };

export function OverviewPage() {
  const vms = useQuery(vmsQuery);
  const node = useQuery(nodeQuery);
  const { data: pools = [] } = useQuery(poolsQuery);
  const { data: images = [] } = useQuery(imagesQuery);
  const { data: networks = [] } = useQuery(networksQuery);
  const { data: volumes = [] } = useQuery(volumesQuery);
  const { data: events = [] } = useQuery(eventsQuery());
  const { data: certificate } = useQuery(certificateQuery);

  const bad = <T extends { name: string; state: string; reason?: string }>(
    kind: string,
    items: readonly T[],
    to: (item: T) => string,
  ): Need[] =>
    items
      .filter(({ state }) => isBad(state))
      .map((item) => ({
        id: `${kind}/${item.name}`,
        words: `${item.name}: ${item.reason ?? stateWord(item.state)}`,
        to: to(item),
      }));
  const needs = [
    ...bad('vm', vms.data ?? [], (vm) => vmPath(vm)),
    ...bad('image', images, () => '/images'),
    ...bad('volume', volumes, () => '/volumes'),
    ...bad('network', networks, () => '/networks'),
    ...bad(
      'component',
      (node.data?.components ?? []).map(({ name, state, message }) => ({ name, state, reason: message })),
      () => '/node',
    ),
  ];
  if (certificate?.served && certificate.notAfter && validityOf(certificate) !== 'valid') {
    const words = text.certificate.endsSoon(formatAge(certificate.notAfter));
    needs.push({ id: 'certificate', words, to: '/settings/certificate' });
  }
  const capacity = pools.reduce((sum, pool) => sum + (pool.capacity ?? 0), 0);
  const used = pools.reduce((sum, pool) => sum + (pool.used ?? 0), 0);
  const provisioned = pools.reduce((sum, pool) => sum + (pool.provisioned ?? 0), 0);

  return (
    <PageFrame title={text.overview.title}>
      <div className="croft-stack">
        {vms.data?.length === 0 && <Checklist images={images} networks={networks} />}
        <Attention needs={needs} isKnown={vms.data !== undefined} />
        <Loaded query={vms} what={text.vms.title}>
          {(all) => (
            <div className="croft-tiles-row">
              <VmTile vms={all} />
              {node.data && <BoxTiles node={node.data} vms={all} />}
              <Tile
                title={text.overview.storage}
                figure={formatBytes(used)}
                detail={text.overview.provisioned(formatBytes(provisioned))}
                to="/settings/pools"
              >
                <Meter
                  label={text.overview.storage}
                  used={used}
                  all={capacity}
                  caption={text.common.of(formatBytes(used), formatBytes(capacity))}
                />
              </Tile>
            </div>
          )}
        </Loaded>
        <Card isCompact className="croft-card">
          <CardTitle component="h2">{text.overview.recent}</CardTitle>
          <CardBody>
            <EventList events={events.slice(0, shownEvents)} withName />
          </CardBody>
        </Card>
      </div>
    </PageFrame>
  );
}

function Attention({ needs, isKnown }: { needs: readonly Need[]; isKnown: boolean }) {
  if (!isKnown) return null;
  if (needs.length === 0) {
    return (
      <div className="croft-well">
        <CheckCircleIcon />
        <span>
          <strong>{text.overview.allWell}.</strong> {text.overview.allWellDetail}
        </span>
      </div>
    );
  }
  return (
    <section className="croft-needs" aria-labelledby="attention">
      <h2 id="attention">
        {text.overview.attention} ({needs.length})
      </h2>
      <ul>
        {needs.map(({ id, words, to }) => (
          <li key={id}>
            <ExclamationTriangleIcon />
            <span>{words}</span>
            <Link to={to} aria-label={`${text.overview.why} ${words}`}>
              {text.overview.why}
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Tile({
  title,
  figure,
  detail,
  to,
  children,
}: {
  title: string;
  figure: string;
  detail: string;
  to: string;
  children?: ReactNode;
}) {
  return (
    <Card isCompact className="croft-card croft-figure-card">
      <CardTitle component="h2">
        <Link to={to}>{title}</Link>
      </CardTitle>
      <CardBody>
        <div className="croft-figure">{figure}</div>
        {children}
        <div className="croft-quiet croft-small">{detail}</div>
      </CardBody>
    </Card>
  );
}

function VmTile({ vms }: { vms: readonly Vm[] }) {
  const running = vms.filter(({ state }) => state === 'running').length;
  const stopped = vms.filter(({ state }) => state === 'stopped').length;
  const failed = vms.filter(({ state }) => isBad(state)).length;
  const others = vms.length - running - stopped - failed;
  const parts = [
    [running, text.overview.running],
    [stopped, text.overview.stopped],
    [others, text.overview.others],
    [failed, text.overview.failed],
  ] as const;
  return (
    <Tile
      title={text.overview.vms}
      figure={String(vms.length)}
      detail={
        parts
          .filter(([number]) => number > 0)
          .map(([number, word]) => `${number} ${word}`)
          .join(' · ') || text.vms.empty
      }
      to="/vms"
    >
      <Meter
        label={text.overview.running}
        used={running}
        all={vms.length}
        caption={`${running} ${text.overview.running}`}
        mayBeFull
      />
    </Tile>
  );
}

function BoxTiles({ node, vms }: { node: Node; vms: readonly Vm[] }) {
  const memory = (node.memory ?? 0) - (node.memoryReserved ?? 0);
  const usedMemory = Math.max(0, memory - (node.memoryFree ?? memory));
  const vcpus = vms.filter(({ state }) => state === 'running').reduce((sum, { cpus }) => sum + cpus, 0);
  return (
    <>
      <Tile
        title={text.overview.memory}
        figure={formatBytes(usedMemory)}
        detail={text.overview.memoryFree(formatBytes(node.memoryFree))}
        to="/node"
      >
        <Meter
          label={text.overview.memory}
          used={usedMemory}
          all={memory}
          caption={text.common.of(formatBytes(usedMemory), formatBytes(memory))}
        />
      </Tile>
      <Tile title={text.overview.cpu} figure={text.overview.cpus(node.cpus ?? 0)} detail={text.overview.vcpus(vcpus)} to="/node">
        <Meter
          label={text.overview.cpu}
          used={vcpus}
          all={Math.max(vcpus, node.cpus ?? 0)}
          caption={text.overview.vcpus(vcpus)}
          mayBeFull
        />
      </Tile>
    </>
  );
}
