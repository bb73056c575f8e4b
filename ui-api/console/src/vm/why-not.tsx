/** "Why?": one sentence with numbers and what to do, where a VM isn't as wished. */
import { Alert, ExpandableSection } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import type { Vm } from '../../../client/types.ts';
import { explainQuery } from '../api/queries.ts';
import { formatTime } from '../format.ts';
import { useRefusal } from '../hooks/use-role.ts';
import { text } from '../i18n/text.ts';
import { ActionButton } from '../ui/action-button.tsx';
import { isBad, stateWord } from '../ui/state-label.tsx';
import { stateRefusal, vmPath } from './state.ts';
import { runVmAction } from './use-vm-actions.tsx';

export function WhyNot({ vm }: { vm: Vm }) {
  const refusal = useRefusal()('operator');
  const restart = vm.conditions.find(({ type, status }) => type === 'RestartRequired' && status === 'True');
  return (
    <>
      {(isBad(vm.state) || vm.reason) && <Explained vm={vm} />}
      {restart && (
        <Alert
          variant="info"
          isInline
          title={text.vm.restartRequired}
          actionLinks={
            <ActionButton variant="link" isInline refusal={refusal} onClick={() => runVmAction(vm, 'restart')}>
              {text.vm.restartNow}
            </ActionButton>
          }
        >
          {restart.message}
        </Alert>
      )}
    </>
  );
}

function Explained({ vm }: { vm: Vm }) {
  const { data } = useQuery(explainQuery(vm.name, vm.project));
  return (
    <Alert
      variant={isBad(vm.state) ? 'danger' : 'info'}
      isInline
      title={`${stateWord(vm.state)}: ${data?.sentence ?? vm.reason ?? ''}`}
      className="croft-why"
    >
      {data && data.next.length > 0 && (
        <ul aria-label={text.vm.next}>
          {data.next.map((step) => (
            <li key={step}>
              <NextStep vm={vm} step={step} />
            </li>
          ))}
        </ul>
      )}
      {data && data.evidence.length > 0 && (
        <ExpandableSection toggleText={text.vm.evidence}>
          <ul>
            {data.evidence.map(({ at, text: words }) => (
              <li key={`${at}${words}`}>
                {at && <span className="croft-quiet">{formatTime(at)} </span>}
                {words}
              </li>
            ))}
          </ul>
        </ExpandableSection>
      )}
    </Alert>
  );
}

/** Pages on which a step of the API's is done, and what to call them. */
const places: readonly [command: RegExp, words: string, path: (vm: Vm) => string][] = [
  [/^croft volume list/, text.vm.lookAtVolumes, () => '/volumes'],
  [/^croft pool list/, text.vm.lookAtPools, () => '/settings/pools'],
  [/^croft image list/, text.vm.lookAtImages, () => '/images'],
  [/^croft vm console/, text.vm.openConsole, (vm) => vmPath(vm, 'console')],
  [/^croft vm edit .*--memory/, text.vm.changeMemory, (vm) => vmPath(vm, 'settings')],
];

/** A step as a button where this page can do it, as a link where another can, else in words. */
function NextStep({ vm, step }: { vm: Vm; step: string }) {
  const refusal = useRefusal()('operator');
  const [, verb, force] = /^croft vm (start|stop|restart|unpause) \S+( --force)?$/.exec(step) ?? [];
  const action = verb as 'start' | 'stop' | 'restart' | 'unpause' | undefined;
  if (action) {
    const label = force ? text.vmActions['force-stop'] : text.vmActions[action];
    return (
      <>
        <ActionButton
          variant="secondary"
          size="sm"
          refusal={refusal ?? stateRefusal(action, vm)}
          onClick={() => runVmAction(vm, action, force ? { force: true } : undefined)}
        >
          {label}
        </ActionButton>{' '}
        <code className="croft-small">{step}</code>
      </>
    );
  }
  const place = places.find(([command]) => command.test(step));
  const command = step.startsWith('croft ') ? <code className="croft-small">{step}</code> : step;
  if (!place) return <>{command}</>;
  return (
    <>
      <Link to={place[2](vm)}>{place[1]}</Link> {command}
    </>
  );
}
