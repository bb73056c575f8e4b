/** How safe what a replicated pool keeps is: in a sentence, and disk by disk as a map; a failed disk is replaced here. */
import { Card, CardBody, CardTitle, Progress } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Disk, Pool } from '../../../../client/types.ts';
import { client } from '../../api/client.ts';
import { disksQuery, queryClient } from '../../api/queries.ts';
import { PutDisk } from '../../forms/put-disk.tsx';
import { formatBytes } from '../../format.ts';
import { useRefusal } from '../../hooks/use-role.ts';
import { text } from '../../i18n/text.ts';
import { ActionButton } from '../../ui/action-button.tsx';
import { Confirm, type Confirmation } from '../../ui/confirm.tsx';
import { StateLabel } from '../../ui/state-label.tsx';

/** The replaced disk, or none for one more. */
type Asked = { old: Disk | undefined };

export function PoolHealth({ pool }: { pool: Pool }) {
  const { data: all = [] } = useQuery(disksQuery);
  const [asked, setAsked] = useState<Asked>();
  const [ask, setAsk] = useState<Confirmation>();
  const refusal = useRefusal()('admin');
  const { health } = pool;
  if (!health) return null;
  const disks = all.filter((disk) => disk.pool === pool.name);
  const takeOut = (disk: Disk): void =>
    setAsk({
      title: text.disksOf.removeTitle(disk.name),
      body: text.disksOf.removeHelp(disk.path),
      submit: text.disksOf.removeSubmit,
      run: async () => {
        await client.disks.remove(disk.id);
        await queryClient.invalidateQueries({ queryKey: disksQuery.queryKey });
      },
    });
  return (
    <Card isCompact className="croft-card">
      <CardTitle component="h2">
        <span className="croft-title">
          {text.disksOf.title(pool.name)}
          <StateLabel state={health.state} />
        </span>
      </CardTitle>
      <CardBody>
        <p>{health.message}</p>
        <p>{text.disksOf.survives(health.survives)}</p>
        {health.recovery && <Recovery pool={pool.name} {...health.recovery} />}
        {health.problem && <p className="croft-bad">{health.problem}</p>}
        <ul className="croft-disks" aria-label={text.disksOf.map}>
          {disks.map((disk) => (
            <DiskTile
              key={disk.id}
              disk={disk}
              refusal={refusal}
              onReplace={() => setAsked({ old: disk })}
              onTakeOut={() => takeOut(disk)}
            />
          ))}
        </ul>
        <ActionButton variant="secondary" size="sm" refusal={refusal} onClick={() => setAsked({ old: undefined })}>
          {text.disksOf.add}
        </ActionButton>
      </CardBody>
      {asked && <PutDisk pool={pool.name} old={asked.old} onClose={() => setAsked(undefined)} />}
      {ask && <Confirm ask={ask} onClose={() => setAsk(undefined)} />}
    </Card>
  );
}

type RecoveryProps = { pool: string } & NonNullable<NonNullable<Pool['health']>['recovery']>;

/** How many of the copies are there, and how fast the others are made. */
function Recovery({ pool, missing, bytesPerSecond, seconds }: RecoveryProps) {
  const there = Math.floor((1 - missing) * 100);
  return (
    <Progress
      className="croft-recovery"
      size="sm"
      value={there}
      title={text.disksOf.recovery}
      aria-label={`${text.disksOf.recovery}: ${pool}`}
      label={text.disksOf.recoveryLabel(there, bytesPerSecond > 0 ? formatBytes(bytesPerSecond) : undefined, seconds)}
    />
  );
}

type TileProps = { disk: Disk; refusal: string | undefined; onReplace: () => void; onTakeOut: () => void };

function DiskTile({ disk, refusal, onReplace, onTakeOut }: TileProps) {
  const { name, state, path, size, serial, smart, reason, warning, locating } = disk;
  const mayBlink = path.startsWith('/dev/');
  const facts = [
    size === undefined ? undefined : formatBytes(size),
    serial,
    smart?.temperature === undefined ? undefined : `${smart.temperature} °C`,
    smart?.hours === undefined ? undefined : text.disksOf.hours(smart.hours),
  ];
  const blink = async (): Promise<void> => {
    await client.disks.act(disk.id, 'locate', { seconds: locating ? 0 : 60 });
    await queryClient.invalidateQueries({ queryKey: disksQuery.queryKey });
  };
  return (
    <li className={`croft-disk croft-disk-${state}`}>
      <strong>{name}</strong>
      <StateLabel state={state} />
      <span className="croft-mono croft-small croft-break">{path}</span>
      <span className="croft-quiet croft-small">{facts.filter(Boolean).join(' · ')}</span>
      {reason && <span className="croft-reason">{reason}</span>}
      {warning && <span className="croft-reason">{warning}</span>}
      {locating && <span className="croft-small">{text.disksOf.blinks(locating)}</span>}
      <span className="croft-disk-actions">
        <ActionButton variant="link" isInline refusal={refusal} aria-label={text.disksOf.replaceNamed(name)} onClick={onReplace}>
          {text.disksOf.replace}
        </ActionButton>
        {state !== 'leaving' && (
          <ActionButton variant="link" isInline refusal={refusal} aria-label={text.disksOf.removeTitle(name)} onClick={onTakeOut}>
            {text.disksOf.remove}
          </ActionButton>
        )}
        {mayBlink && (
          <ActionButton
            variant="link"
            isInline
            refusal={refusal}
            aria-label={text.disksOf.blinkNamed(name)}
            onClick={() => void blink()}
          >
            {locating ? text.disksOf.blinkEnd : text.disksOf.blink}
          </ActionButton>
        )}
      </span>
    </li>
  );
}
