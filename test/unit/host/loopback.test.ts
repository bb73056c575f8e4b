import { expect, it } from 'vitest';
import { isLoopback } from '../../../appliance/host/loopback.ts';

it.each(['localhost', '::1', '[::1]', '127.0.0.1', '127.9.9.9'])('%s stays on this machine', (host) => {
  expect(isLoopback(host)).toBe(true);
});

it.each(['127.example.org', '127.0.0.1.example.org', 'localhost.example.org', '0.0.0.0', '10.0.0.1', '::'])(
  '%s may leave it',
  (host) => {
    expect(isLoopback(host)).toBe(false);
  },
);
