/** States as icon, words and colour, never colour alone. */
import { Label, Spinner } from '@patternfly/react-core';
import CheckCircleIcon from '@patternfly/react-icons/dist/esm/icons/check-circle-icon';
import ExclamationCircleIcon from '@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon';
import ExclamationTriangleIcon from '@patternfly/react-icons/dist/esm/icons/exclamation-triangle-icon';
import PauseCircleIcon from '@patternfly/react-icons/dist/esm/icons/pause-circle-icon';
import PowerOffIcon from '@patternfly/react-icons/dist/esm/icons/power-off-icon';
import QuestionCircleIcon from '@patternfly/react-icons/dist/esm/icons/question-circle-icon';
import type { ReactNode } from 'react';
import { text } from '../i18n/text.ts';

type Look = { color: 'green' | 'grey' | 'blue' | 'orange' | 'red'; icon: ReactNode };

const working: Look = { color: 'blue', icon: <Spinner isInline size="sm" aria-hidden="true" /> };
const good: Look = { color: 'green', icon: <CheckCircleIcon /> };
const bad: Look = { color: 'red', icon: <ExclamationCircleIcon /> };
const off: Look = { color: 'grey', icon: <PowerOffIcon /> };
const odd: Look = { color: 'orange', icon: <ExclamationTriangleIcon /> };

const looks: Record<string, Look> = {
  running: good,
  ready: good,
  bound: good,
  succeeded: good,
  active: good,
  valid: good,
  ending: odd,
  ended: bad,
  fenced: bad,
  silent: bad,
  next: { color: 'blue', icon: <CheckCircleIcon /> },
  empty: off,
  stopped: off,
  disabled: off,
  cancelled: off,
  paused: { color: 'orange', icon: <PauseCircleIcon /> },
  'crash-loop-back-off': bad,
  'error-unschedulable': bad,
  'data-volume-error': bad,
  failed: bad,
  lost: bad,
  missing: bad,
  degraded: odd,
  ok: good,
  up: good,
  down: bad,
  refused: bad,
  blocked: bad,
  unknown: { color: 'orange', icon: <QuestionCircleIcon /> },
};

const words: Record<string, string> = { ...text.states, ...text.vmStates };

export const stateWord = (state: string): string => words[state] ?? state;
/** States in which something is wrong. */
export const isBad = (state: string): boolean => looks[state] === bad || looks[state] === odd;

/** Everything not listed is on its way to somewhere: it spins. `progress` is 0 to 1. */
export function StateLabel({ state, progress }: { state: string; progress?: number }) {
  const look = looks[state] ?? working;
  const percent = look === working && progress !== undefined && progress > 0 ? ` ${Math.round(progress * 100)} %` : '';
  return (
    <Label color={look.color} icon={look.icon} variant="outline" className="croft-state" data-state={state}>
      {stateWord(state)}
      {percent}
    </Label>
  );
}

/** A state and, below it, why it is so: one sentence of the API. */
export function StateReason({
  state,
  reason,
  progress,
}: {
  state: string;
  reason?: string | undefined;
  progress?: number | undefined;
}) {
  return (
    <>
      <StateLabel state={state} {...(progress === undefined ? {} : { progress })} />
      {reason && <div className="croft-reason">{reason}</div>}
    </>
  );
}
