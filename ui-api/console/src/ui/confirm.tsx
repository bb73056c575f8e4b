import { useState, type ReactNode } from 'react';
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

/** The question of a page: `ask` opens it, `question` is where it is drawn. */
export function useConfirm(): { ask: (confirmation: Confirmation) => void; question: ReactNode } {
  const [asked, setAsked] = useState<Confirmation>();
  return { ask: setAsked, question: asked && <Confirm ask={asked} onClose={() => setAsked(undefined)} /> };
}
