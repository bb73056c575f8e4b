/** "Why?": one sentence with numbers and what to do, where a VM isn't as wished. */
import { Alert, Button, ExpandableSection } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import type { Vm } from '../../../client/types.ts';
import { explainQuery } from '../api/queries.ts';
import { formatTime } from '../format.ts';
import { text } from '../i18n/text.ts';
import { isBad, stateWord } from '../ui/state-label.tsx';
import { runVmAction } from './use-vm-actions.tsx';

export function WhyNot({ vm }: { vm: Vm }) {
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
            <Button variant="link" isInline onClick={() => runVmAction(vm, 'restart')}>
              {text.vm.restartNow}
            </Button>
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
            <li key={step}>{step.startsWith('croft ') ? <code>{step}</code> : step}</li>
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
