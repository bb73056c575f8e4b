import { Progress } from '@patternfly/react-core';
import type { Task } from '../../../client/types.ts';
import { text } from '../i18n/text.ts';

/** How far a task is, in its own words; or how it ended. */
export function TaskProgress({ task }: { task: Task }) {
  if (task.state === 'failed') return <span className="croft-bad">{task.error?.detail ?? text.states.failed}</span>;
  if (task.state !== 'running') return <>{text.states[task.state as 'succeeded' | 'cancelled'] ?? task.state}</>;
  const eta = task.etaSeconds === undefined ? '' : ` · ${text.activity.eta(Math.round(task.etaSeconds))}`;
  return (
    <Progress
      value={Math.round(task.progress * 100)}
      size="sm"
      title={`${task.step ?? ''}${eta}`}
      aria-label={`${task.verb} ${task.target.name}`}
    />
  );
}
