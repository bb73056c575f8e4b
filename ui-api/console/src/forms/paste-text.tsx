import { useState } from 'react';
import { text } from '../i18n/text.ts';
import { Dialog } from '../ui/dialog.tsx';
import { LongTextField } from '../ui/field.tsx';

/** Text for a guest that has no clipboard. */
export function PasteText({ onText, onClose }: { onText: (text: string) => void; onClose: () => void }) {
  const [typed, setTyped] = useState('');
  return (
    <Dialog
      title={text.console.pasteTitle}
      description={text.console.pasteHelp}
      submit={text.console.pasteSubmit}
      isDisabled={typed === ''}
      onSubmit={async () => onText(typed)}
      onClose={onClose}
    >
      <LongTextField label={text.console.pasteField} value={typed} onChange={setTyped} rows={6} />
    </Dialog>
  );
}
