/**
 * The palette (Ctrl+K): every page, machine and command by its name. A text field with a list box (WAI-ARIA combobox):
 * the focus stays in the field, arrow keys choose, Enter opens.
 */
import { Modal, ModalBody, ModalHeader } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useId, useMemo, useState, type KeyboardEvent } from 'react';
import { useNavigate } from 'react-router';
import { networksQuery, vmsQuery } from '../api/queries.ts';
import { useRefusal } from '../hooks/use-role.ts';
import { text } from '../i18n/text.ts';
import { can, vmPath } from '../vm/state.ts';
import { runVmAction } from '../vm/use-vm-actions.tsx';
import { matching, type Entry } from './palette-model.ts';

const pages: readonly [path: string, title: string][] = [
  ['/', text.nav.overview],
  ['/vms', text.nav.vms],
  ['/images', text.nav.images],
  ['/volumes', text.nav.volumes],
  ['/networks', text.nav.networks],
  ['/node', text.nav.node],
  ['/activity', text.nav.activity],
  ['/settings', text.nav.settings],
];

function useEntries(): Entry[] {
  const { data: vms = [] } = useQuery(vmsQuery);
  const { data: networks = [] } = useQuery(networksQuery);
  const navigate = useNavigate();
  const refusal = useRefusal()('operator');
  return useMemo(() => {
    const go = (path: string) => () => void navigate(path);
    const commands: Entry[] = refusal
      ? []
      : [
          { id: 'new', group: text.palette.commands, title: text.vms.create, run: go('/vms/new') },
          { id: 'import', group: text.palette.commands, title: text.import.title, run: go('/vms/import') },
          ...vms.flatMap((vm): Entry[] =>
            (['start', 'stop', 'restart'] as const)
              .filter((action) => can(action, vm))
              .map((action) => ({
                id: `${action} ${vm.project}/${vm.name}`,
                group: text.palette.commands,
                title: `${text.vmActions[action]}: ${vm.name}`,
                run: () => runVmAction(vm, action),
              })),
          ),
        ];
    return [
      ...pages.map(([path, title]) => ({ id: path, group: text.palette.pages, title, run: go(path) })),
      ...vms.flatMap((vm): Entry[] => [
        {
          id: `vm ${vm.project}/${vm.name}`,
          group: text.palette.machines,
          title: vm.name,
          detail: vm.addresses.join(', '),
          run: go(vmPath(vm)),
        },
        ...(can('console', vm) && !refusal
          ? [
              {
                id: `console ${vm.project}/${vm.name}`,
                group: text.palette.machines,
                title: text.palette.console(vm.name),
                run: go(vmPath(vm, 'console')),
              },
            ]
          : []),
      ]),
      ...networks.map(({ name }) => ({ id: `network ${name}`, group: text.nav.networks, title: name, run: go('/networks') })),
      ...commands,
    ];
  }, [vms, networks, navigate, refusal]);
}

export function Palette({ onClose }: { onClose: () => void }) {
  const [typed, setTyped] = useState('');
  const [at, setAt] = useState(0);
  const entries = useEntries();
  const shown = useMemo(() => matching(entries, typed), [entries, typed]);
  const id = useId();
  const chosen = Math.min(at, shown.length - 1);

  function run(entry: Entry | undefined): void {
    if (!entry) return;
    onClose();
    entry.run();
  }

  function onKey(event: KeyboardEvent): void {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1 };
    const step = steps[event.key];
    if (event.key === 'Enter') run(shown[chosen]);
    else if (step === undefined || shown.length === 0) return;
    else {
      const next = (chosen + step + shown.length) % shown.length;
      setAt(next);
      document.getElementById(`${id}-${next}`)?.scrollIntoView({ block: 'nearest' });
    }
    event.preventDefault();
  }

  return (
    <Modal
      isOpen
      variant="small"
      position="top"
      onClose={onClose}
      aria-labelledby={`${id}-title`}
      elementToFocus=".croft-palette-field"
    >
      <ModalHeader title={text.palette.title} labelId={`${id}-title`} description={text.palette.help} />
      <ModalBody>
        <input
          className="croft-palette-field"
          role="combobox"
          aria-label={text.palette.field}
          aria-expanded={shown.length > 0}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          {...(shown.length > 0 ? { 'aria-activedescendant': `${id}-${chosen}` } : {})}
          placeholder={text.palette.field}
          autoComplete="off"
          value={typed}
          onChange={(event) => {
            setTyped(event.target.value);
            setAt(0);
          }}
          onKeyDown={onKey}
        />
        <p className="croft-visually-hidden" aria-live="polite">
          {shown.length === 0 ? text.palette.none : text.palette.found(shown.length)}
        </p>
        {shown.length === 0 && <p className="croft-quiet">{text.palette.none}</p>}
        <ul id={`${id}-list`} role="listbox" aria-label={text.palette.title} className="croft-palette-list">
          {shown.map((entry, index) => (
            <li
              key={entry.id}
              id={`${id}-${index}`}
              role="option"
              aria-selected={index === chosen}
              onClick={() => run(entry)}
              onMouseEnter={() => setAt(index)}
            >
              <span>{entry.title}</span>
              <span className="croft-quiet croft-small">{[entry.detail, entry.group].filter(Boolean).join(' · ')}</span>
            </li>
          ))}
        </ul>
      </ModalBody>
    </Modal>
  );
}
