/** The steps a task went through, each with its time; read when it is opened, and again while the task runs. */
import { ExpandableSection } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Task } from '../../../client/types.ts';
import { taskQuery } from '../api/queries.ts';
import { formatClock, formatTime } from '../format.ts';
import { text } from '../i18n/text.ts';
import { Loaded } from './loaded.tsx';

export function TaskLog({ task }: { task: Task }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <ExpandableSection
      toggleText={text.activity.log}
      toggleAriaLabel={text.activity.logOf(`${task.verb} ${task.target.name}`)}
      isExpanded={isOpen}
      onToggle={(_event, open) => setOpen(open)}
      className="croft-small"
    >
      {isOpen && <Steps task={task} />}
    </ExpandableSection>
  );
}

function Steps({ task: { id, step, state, error } }: { task: Task }) {
  // The step and the state are part of the key: a new one reads the log again.
  const query = useQuery(taskQuery(id, `${state} ${step ?? ''}`));
  return (
    <Loaded query={query} what={text.activity.log}>
      {({ log = [], startedAt, endedAt }) => (
        <ol className="croft-log">
          <LogLine at={startedAt} words={text.activity.begun} />
          {log.map(({ at, text: words }) => (
            <LogLine key={`${at} ${words}`} at={at} words={words} />
          ))}
          {endedAt && <LogLine at={endedAt} words={error?.detail ?? text.states[state as 'succeeded'] ?? state} />}
        </ol>
      )}
    </Loaded>
  );
}

const LogLine = ({ at, words }: { at: string; words: string }) => (
  <li>
    <time dateTime={at} title={formatTime(at)} className="croft-quiet croft-nowrap">
      {formatClock(at)}
    </time>{' '}
    {words}
  </li>
);
