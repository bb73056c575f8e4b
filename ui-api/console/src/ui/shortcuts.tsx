import { Checkbox, Modal, ModalBody, ModalHeader } from '@patternfly/react-core';
import { useId } from 'react';
import { setShortcuts, useAreShortcutsOn } from '../hooks/use-shortcuts.ts';
import { text } from '../i18n/text.ts';

/** Where `g` and another key lead. */
export const places: readonly [key: string, path: string, title: string][] = [
  ['o', '/', text.nav.overview],
  ['v', '/vms', text.nav.vms],
  ['i', '/images', text.nav.images],
  ['d', '/volumes', text.nav.volumes],
  ['w', '/networks', text.nav.networks],
  ['n', '/node', text.nav.node],
  ['a', '/activity', text.nav.activity],
  ['s', '/settings', text.nav.settings],
];

/** All keys there are, and the switch that turns the single ones off. */
export function Shortcuts({ onClose }: { onClose: () => void }) {
  const isOn = useAreShortcutsOn();
  const id = useId();
  const rows: [keys: string, what: string][] = [
    ['Ctrl K', text.shortcuts.palette],
    ['?', text.shortcuts.help],
    ['/', text.shortcuts.filter],
    ['c', text.vms.create],
    ...places.map(([key, , title]): [string, string] => [`g ${key}`, title]),
    ['Ctrl Alt Shift', text.shortcuts.release],
  ];
  return (
    <Modal isOpen variant="small" onClose={onClose} aria-labelledby={id}>
      <ModalHeader title={text.shortcuts.title} labelId={id} />
      <ModalBody>
        <dl className="croft-keys">
          {rows.map(([keys, what]) => (
            <div key={keys}>
              <dt>
                {keys.split(' ').map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <Checkbox
          id="shortcuts-on"
          label={text.shortcuts.single}
          description={text.shortcuts.singleHelp}
          isChecked={isOn}
          onChange={(_event, on) => setShortcuts(on)}
        />
      </ModalBody>
    </Modal>
  );
}
