/** Serial console: xterm on the guest's first serial port. A lost connection is made again; the text stays. */
import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { useEffect, useRef, type RefObject } from 'react';
import type { Vm } from '../../../client/types.ts';
import { text } from '../i18n/text.ts';
import type { ConsoleHandle, ConsoleStatus } from './console-keys.ts';
import { createBackoff, openConsoleSocket } from './console-socket.ts';

type Props = { vm: Vm; onStatus: (status: ConsoleStatus) => void; handle: RefObject<ConsoleHandle | null> };

const encoder = new TextEncoder();

export function SerialConsole({ vm, onStatus, handle }: Props) {
  const place = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (!place.current) return undefined;
    const terminal = new Terminal({
      cursorBlink: true,
      scrollback: 10_000,
      fontFamily: "'Red Hat Mono', ui-monospace, monospace",
      fontSize: 14,
      theme: { background: '#101418', foreground: '#e7ebee' },
    });
    const fit = new FitAddon();
    terminal.loadAddon(fit);
    terminal.open(place.current);
    fit.fit();
    terminal.focus();
    const resized = new ResizeObserver(() => fit.fit());
    resized.observe(place.current);

    const backoff = createBackoff();
    let socket: WebSocket | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    const send = (data: string) => {
      if (socket?.readyState === WebSocket.OPEN) socket.send(encoder.encode(data));
    };
    terminal.onData(send);
    // The keys are the guest's; this chord is the way out for those without a mouse.
    terminal.attachCustomKeyEventHandler((event) => {
      if (!(event.ctrlKey && event.altKey && event.shiftKey)) return true;
      terminal.blur();
      return false;
    });

    const again = (): void => {
      if (ended) return;
      onStatus('lost');
      timer = setTimeout(() => void connect(), backoff.next());
    };
    async function connect(): Promise<void> {
      try {
        const opened = await openConsoleSocket(vm, 'serial');
        if (ended) return opened.close();
        socket = opened;
        opened.addEventListener('open', () => {
          backoff.reset();
          onStatus('connected');
        });
        opened.addEventListener('message', ({ data }) => terminal.write(new Uint8Array(data as ArrayBuffer)));
        opened.addEventListener('close', again);
      } catch {
        // Not running yet, or the service restarts: trying again is all that helps, and the status says so.
        again();
      }
    }
    onStatus('connecting');
    void connect();
    handle.current = { sendKeys: () => undefined, type: (typed) => send(typed.replaceAll('\n', '\r')) };

    return () => {
      ended = true;
      clearTimeout(timer);
      socket?.close();
      resized.disconnect();
      terminal.dispose();
      handle.current = null;
    };
    // The VM object changes with each event; the connection is to its name.
  }, [vm.name, vm.project]);

  return <div ref={place} className="croft-serial" role="application" aria-label={text.console.serialLabel(vm.name)} />;
}
