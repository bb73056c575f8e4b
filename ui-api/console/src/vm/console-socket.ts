/** The way to a guest's console: a ticket good for one use, then a WebSocket of raw bytes. */
import type { ConsoleTicket, Vm } from '../../../client/types.ts';
import { client } from '../api/client.ts';

/** @throws ApiProblem `invalid-state` while the guest doesn't run */
export async function openConsoleSocket(vm: Vm, kind: 'serial' | 'vnc'): Promise<WebSocket> {
  const path = `/v1/vms/${encodeURIComponent(vm.name)}/console-tickets`;
  const { body } = await client.request<ConsoleTicket>('POST', path, { body: { kind }, query: { project: vm.project } });
  const url = new URL(body.url, location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  return socket;
}

const firstDelay = 500;
const longestDelay = 5000;

/** Waits a little longer each time, up to 5 s; `reset` after success. */
export function createBackoff() {
  let delay = firstDelay;
  return {
    next: (): number => {
      const now = delay;
      delay = Math.min(longestDelay, delay * 2);
      return now;
    },
    reset: (): void => {
      delay = firstDelay;
    },
  };
}
