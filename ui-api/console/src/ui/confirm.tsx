import type { ReactNode } from 'react';
import { Dialog } from './dialog.tsx';

export type Confirmation = { title: string; body: ReactNode; submit: string; run: () => Promise<unknown> };

/** Asks before something that can't be undone, saying its effect. */
export function Confirm({ ask, onClose }: { ask: Confirmation; onClose: () => void }) {
  return (
    <Dialog title={ask.title} submit={ask.submit} isDanger onSubmit={ask.run} onClose={onClose}>
      <div>{ask.body}</div>
    </Dialog>
  );
}
