/** How safe what a replicated pool keeps is: in a sentence, and disk by disk as a map; a failed disk is replaced here. */
import { Card, CardBody, CardTitle } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Disk, Pool } from '../../../../client/types.ts';
import { disksQuery } from '../../api/queries.ts';
import { PutDisk } from '../../forms/put-disk.tsx';
import { formatBytes } from '../../format.ts';
import { useRefusal } from '../../hooks/use-role.ts';
import { text } from '../../i18n/text.ts';
import { ActionButton } from '../../ui/action-button.tsx';
import { StateLabel } from '../../ui/state-label.tsx';

/** The replaced disk, or none for one more. */
type Asked = { old: Disk | undefined };

export function PoolHealth({ pool }: { pool: Pool }) {
  const { data: all = [] } = useQuery(disksQuery);
  const [asked, setAsked] = useState<Asked>();
  const refusal = useRefusal()('admin');
  const { health } = pool;
  if (!health) return null;
  const disks = all.filter((disk) => disk.pool === pool.name);
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
        {health.problem && <p className="croft-bad">{health.problem}</p>}
        <ul className="croft-disks" aria-label={text.disksOf.map}>
          {disks.map((disk) => (
            <li key={disk.id} className={`croft-disk croft-disk-${disk.state}`}>
              <strong>{disk.name}</strong>
              <StateLabel state={disk.state} />
              <span className="croft-mono croft-small croft-break">{disk.path}</span>
              <span className="croft-quiet croft-small">
                {[disk.size === undefined ? undefined : formatBytes(disk.size), disk.serial].filter(Boolean).join(' · ')}
              </span>
              {disk.reason && <span className="croft-reason">{disk.reason}</span>}
              <ActionButton
                variant="link"
                isInline
                refusal={refusal}
                aria-label={text.disksOf.replaceNamed(disk.name)}
                onClick={() => setAsked({ old: disk })}
              >
                {text.disksOf.replace}
              </ActionButton>
            </li>
          ))}
        </ul>
        <ActionButton variant="secondary" size="sm" refusal={refusal} onClick={() => setAsked({ old: undefined })}>
          {text.disksOf.add}
        </ActionButton>
      </CardBody>
      {asked && <PutDisk pool={pool.name} old={asked.old} onClose={() => setAsked(undefined)} />}
    </Card>
  );
}
