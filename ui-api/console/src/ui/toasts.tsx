/** Short notices at the corner, read out politely. Failures stay until closed. */
import { Alert, AlertActionCloseButton, AlertGroup } from '@patternfly/react-core';
import { useSyncExternalStore } from 'react';
import { showProblem } from '../api/problem.ts';

type Toast = { id: number; variant: 'success' | 'danger' | 'info'; title: string; body?: string };

let toasts: readonly Toast[] = [];
let nextId = 1;
const listeners = new Set<() => void>();
const successShown = 6000;

function set(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

const close = (id: number): void => set(toasts.filter((toast) => toast.id !== id));

export function notify(toast: Omit<Toast, 'id'>): void {
  const id = nextId++;
  set([...toasts.slice(-4), { ...toast, id }]);
  if (toast.variant !== 'danger') setTimeout(() => close(id), successShown);
}

/** Tells a failed action in the API's words. */
export function notifyProblem(title: string, error: unknown): void {
  const { detail, fix } = showProblem(error);
  notify({ variant: 'danger', title, body: [detail, ...fix].join(' ') });
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

export function Toasts() {
  const shown = useSyncExternalStore(subscribe, () => toasts);
  return (
    <AlertGroup isToast isLiveRegion>
      {shown.map(({ id, variant, title, body }) => (
        <Alert key={id} variant={variant} title={title} actionClose={<AlertActionCloseButton onClose={() => close(id)} />}>
          {body}
        </Alert>
      ))}
    </AlertGroup>
  );
}
