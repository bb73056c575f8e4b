import { isIPv4 } from 'node:net';

/**
 * True for a host that never leaves this machine: `localhost`, `::1` (bare or in brackets), 127.0.0.0/8. Where
 * plain HTTP is allowed hangs on it, so `127.example.org`, which is a name like any other, is none.
 */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'));
