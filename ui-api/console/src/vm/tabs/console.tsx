/** The guest's screen and serial line. Either reconnects by itself when the guest or the service comes back. */
import {
  Button,
  Dropdown,
  DropdownItem,
  DropdownList,
  MenuToggle,
  ToggleGroup,
  ToggleGroupItem,
  type MenuToggleElement,
} from '@patternfly/react-core';
import ExpandIcon from '@patternfly/react-icons/dist/esm/icons/expand-icon';
import { lazy, Suspense, useCallback, useRef, useState, type Ref } from 'react';
import type { Vm } from '../../../../client/types.ts';
import { PasteText } from '../../forms/paste-text.tsx';
import { useRefusal } from '../../hooks/use-role.ts';
import { text } from '../../i18n/text.ts';
import { ActionButton } from '../../ui/action-button.tsx';
import { Empty } from '../../ui/empty.tsx';
import { stateWord } from '../../ui/state-label.tsx';
import { keyCombinations, type ConsoleHandle, type ConsoleStatus } from '../console-keys.ts';
import { can, stateRefusal } from '../state.ts';
import { runVmAction } from '../use-vm-actions.tsx';

const SerialConsole = lazy(async () => ({ default: (await import('../serial-console.tsx')).SerialConsole }));
const ScreenConsole = lazy(async () => ({ default: (await import('../screen-console.tsx')).ScreenConsole }));

type Kind = 'serial' | 'screen';
const keptKind = 'croft.console';
const consoles = { serial: SerialConsole, screen: ScreenConsole };

export function ConsoleTab({ vm }: { vm: Vm }) {
  const [kind, setKind] = useState<Kind>(() => (localStorage.getItem(keptKind) === 'screen' ? 'screen' : 'serial'));
  const [status, setStatus] = useState<ConsoleStatus>('connecting');
  const [isPasting, setPasting] = useState(false);
  const handle = useRef<ConsoleHandle | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const refusal = useRefusal()('operator');
  const choose = useCallback((next: Kind) => {
    localStorage.setItem(keptKind, next);
    setStatus('connecting');
    setKind(next);
  }, []);

  const isOpen = can('console', vm) && refusal === undefined;
  const Console = consoles[kind];
  return (
    <div className="croft-console">
      <div className="croft-console-bar">
        <ToggleGroup aria-label={text.console.kind} isCompact>
          {(['serial', 'screen'] as const).map((each) => (
            <ToggleGroupItem
              key={each}
              text={text.console[each]}
              buttonId={`console-${each}`}
              isSelected={kind === each}
              onChange={() => choose(each)}
            />
          ))}
        </ToggleGroup>
        <span className={`croft-console-status croft-console-${isOpen ? status : 'off'}`} role="status">
          {isOpen ? text.console[status] : ''}
        </span>
        <span className="croft-grow" />
        {kind === 'screen' && <KeyMenu onKeys={(keys) => handle.current?.sendKeys(keys)} isDisabled={!isOpen} />}
        <Button variant="secondary" size="sm" isDisabled={!isOpen} onClick={() => setPasting(true)}>
          {text.console.paste}
        </Button>
        <Button
          variant="secondary"
          size="sm"
          icon={<ExpandIcon />}
          isDisabled={!isOpen}
          onClick={() => void frame.current?.requestFullscreen()}
        >
          {text.console.fullScreen}
        </Button>
      </div>
      <div ref={frame} className="croft-console-frame">
        {isOpen ? (
          <Suspense fallback={<p className="croft-console-note">{text.console.connecting}</p>}>
            <Console key={`${vm.project}/${vm.name}`} vm={vm} onStatus={setStatus} handle={handle} />
          </Suspense>
        ) : (
          <Empty
            title={refusal ?? text.console.notRunning(stateWord(vm.state))}
            actions={
              <ActionButton
                variant="primary"
                refusal={refusal ?? stateRefusal('start', vm)}
                onClick={() => runVmAction(vm, 'start')}
              >
                {text.vmActions.start}
              </ActionButton>
            }
          >
            {text.console.notRunningDetail}
          </Empty>
        )}
      </div>
      <p className="croft-quiet croft-small">{text.console.hint}</p>
      {isPasting && <PasteText onText={(typed) => handle.current?.type(typed)} onClose={() => setPasting(false)} />}
    </div>
  );
}

function KeyMenu({ onKeys, isDisabled }: { onKeys: (keys: readonly number[]) => void; isDisabled: boolean }) {
  const [isOpen, setOpen] = useState(false);
  const toggle = (ref: Ref<MenuToggleElement>) => (
    <MenuToggle
      ref={ref}
      variant="secondary"
      size="sm"
      isDisabled={isDisabled}
      isExpanded={isOpen}
      onClick={() => setOpen(!isOpen)}
    >
      {text.console.sendKeys}
    </MenuToggle>
  );
  return (
    <Dropdown isOpen={isOpen} onOpenChange={setOpen} onSelect={() => setOpen(false)} toggle={toggle} isScrollable>
      <DropdownList>
        {keyCombinations.map(({ title, keys }) => (
          <DropdownItem key={title} onClick={() => onKeys(keys)}>
            {title}
          </DropdownItem>
        ))}
      </DropdownList>
    </Dropdown>
  );
}
