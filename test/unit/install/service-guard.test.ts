import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run } from '../../../appliance/host/exec.ts';
import { guardScript, removeGuard, withServicesHeld } from '../../../appliance/install/service-guard.ts';

let directory: string;
let paths: { policy: string; saved: string };
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'croft-guard-'));
  paths = { policy: join(directory, 'policy-rc.d'), saved: join(directory, 'policy-rc.d.before-croft') };
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const askPolicy = async (): Promise<number> =>
  (await run([paths.policy, 'openvswitch-switch', 'start'], { okCodes: [0, 101, 104] })).exitCode;

test('daemons are kept down while packages are installed, and the policy is gone afterwards', async () => {
  const during = await withServicesHeld(askPolicy, paths);
  expect(during).toBe(101);
  expect(existsSync(paths.policy)).toBe(false);
});

test('it is gone after a failure too', async () => {
  await expect(withServicesHeld(() => Promise.reject(new Error('apt broke')), paths)).rejects.toThrow('apt broke');
  expect(existsSync(paths.policy)).toBe(false);
  expect(process.listenerCount('SIGHUP')).toBe(0);
});

test("an administrator's own policy is put back as it was", async () => {
  writeFileSync(paths.policy, '#!/bin/sh\nexit 104\n', { mode: 0o755 });
  expect(await withServicesHeld(askPolicy, paths)).toBe(101);
  expect(readFileSync(paths.policy, 'utf8')).toBe('#!/bin/sh\nexit 104\n');
  expect(existsSync(paths.saved)).toBe(false);
});

test('left behind by a killed process it denies nothing, answers as what stood there before, and is cleaned up', async () => {
  // Pid 1 lives, but did not start at tick 1: as if our pid had been reused.
  writeFileSync(paths.policy, guardScript(1, 1, paths.saved), { mode: 0o755 });
  expect(await askPolicy()).toBe(0);
  writeFileSync(paths.saved, '#!/bin/sh\nexit 104\n', { mode: 0o755 });
  expect(await askPolicy()).toBe(104);
  removeGuard(paths);
  expect(readFileSync(paths.policy, 'utf8')).toBe('#!/bin/sh\nexit 104\n');
});
