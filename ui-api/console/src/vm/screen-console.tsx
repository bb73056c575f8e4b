/** The guest's screen over VNC. A lost connection is made again, across guest reboots and service restarts. */
import RFB from '@novnc/novnc';
import { useEffect, useRef, type RefObject } from 'react';
import type { Vm } from '../../../client/types.ts';
import { text } from '../i18n/text.ts';
import { keysymOf, type ConsoleHandle, type ConsoleStatus } from './console-keys.ts';
import { createBackoff, openConsoleSocket } from './console-socket.ts';

type Props = { vm: Vm; onStatus: (status: ConsoleStatus) => void; handle: RefObject<ConsoleHandle | null> };

export function ScreenConsole({ vm, onStatus, handle }: Props) {
  const place = useRef<HTMLDivElement>(null);

  useEffect(() => {
    const target = place.current;
    if (!target) return undefined;
    const backoff = createBackoff();
    let screen: RFB | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;

    const again = (): void => {
      if (ended) return;
      onStatus('lost');
      timer = setTimeout(() => void connect(), backoff.next());
    };
    async function connect(): Promise<void> {
      try {
        const socket = await openConsoleSocket(vm, 'vnc');
        if (ended) return socket.close();
        const opened = new RFB(target as HTMLElement, socket);
        screen = opened;
        opened.scaleViewport = true;
        opened.focusOnClick = true;
        opened.background = '#101418';
        opened.addEventListener('connect', () => {
          backoff.reset();
          onStatus('connected');
          opened.focus({ preventScroll: true });
        });
        opened.addEventListener('disconnect', again);
      } catch {
        // Not running yet, or the service restarts: trying again is all that helps, and the status says so.
        again();
      }
    }
    onStatus('connecting');
    void connect();

    handle.current = {
      sendKeys: (keys) => {
        for (const key of keys) screen?.sendKey(key, null, true);
        for (const key of keys.toReversed()) screen?.sendKey(key, null, false);
        screen?.focus();
      },
      type: (typed) => {
        for (const character of typed) screen?.sendKey(keysymOf(character), null);
        screen?.focus();
      },
    };
    const release = (event: KeyboardEvent): void => {
      if (event.ctrlKey && event.altKey && event.shiftKey) screen?.blur();
    };
    target.addEventListener('keydown', release, { capture: true });

    return () => {
      ended = true;
      clearTimeout(timer);
      target.removeEventListener('keydown', release, { capture: true });
      screen?.disconnect();
      handle.current = null;
    };
    // The VM object changes with each event; the connection is to its name.
  }, [vm.name, vm.project]);

  return <div ref={place} className="croft-screen" role="application" aria-label={text.console.screenLabel(vm.name)} />;
}
