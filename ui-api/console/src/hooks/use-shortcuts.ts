/** Single keys that lead somewhere (`g v`, `c`, `?`). They can be switched off (WCAG 2.1.4); kept in this browser. */
import { useEffect, useRef, useSyncExternalStore } from 'react';
import { isTyping } from './use-hotkey.ts';

const keptAs = 'croft.shortcuts';
const listeners = new Set<() => void>();

export const areShortcutsOn = (): boolean => localStorage.getItem(keptAs) !== 'off';

export function setShortcuts(on: boolean): void {
  localStorage.setItem(keptAs, on ? 'on' : 'off');
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

export const useAreShortcutsOn = (): boolean => useSyncExternalStore(subscribe, areShortcutsOn);

/** ms in which the second key of two must follow. */
const patience = 1_500;

/** `keys`: what each key, or pair of keys (`g v`), does. */
export function useShortcuts(keys: Readonly<Record<string, () => void>>): void {
  const first = useRef<{ key: string; at: number }>(undefined);
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || !areShortcutsOn()) return;
      const before = first.current;
      first.current = undefined;
      const pair = before && Date.now() - before.at < patience ? keys[`${before.key} ${event.key}`] : undefined;
      const run = pair ?? keys[event.key];
      if (run) {
        event.preventDefault();
        run();
      } else if (Object.keys(keys).some((each) => each.startsWith(`${event.key} `))) {
        first.current = { key: event.key, at: Date.now() };
      }
    };
    addEventListener('keydown', listen);
    return () => removeEventListener('keydown', listen);
  }, [keys]);
}
