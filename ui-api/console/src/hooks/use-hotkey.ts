import { useEffect } from 'react';

export const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable ||
    ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName) ||
    target.closest('.xterm, .croft-screen, [role=dialog], [role=menu]') !== null);

/** Ctrl+K, or ⌘K, also while a field has the focus; a guest's console keeps its keys. */
export function usePaletteKey(onPress: () => void): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      const inConsole = event.target instanceof HTMLElement && event.target.closest('.xterm, .croft-screen') !== null;
      if (event.key.toLowerCase() !== 'k' || !(event.ctrlKey || event.metaKey) || event.altKey || inConsole) return;
      event.preventDefault();
      onPress();
    };
    addEventListener('keydown', listen);
    return () => removeEventListener('keydown', listen);
  }, [onPress]);
}
