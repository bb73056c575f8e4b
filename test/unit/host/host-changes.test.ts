import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { HostChanges } from '../../../appliance/host/host-changes.ts';

const directory = mkdtempSync(join(tmpdir(), 'croft-h-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it('keeps the first value found, and gives it back', async () => {
  const changes = new HostChanges(join(directory, 'changes.json'));
  const name = 'kernel.hostname';
  const now = readFileSync('/proc/sys/kernel/hostname', 'utf8').trim();
  await changes.setSysctl(name, now);
  expect(await changes.list()).toEqual({});
  await Promise.all([changes.record(`sysctl:${name}`, now), changes.record(`sysctl:${name}`, 'later')]);
  expect(await new HostChanges(join(directory, 'changes.json')).list()).toEqual({ [`sysctl:${name}`]: now });
  await changes.record('sysctl:no.such.sysctl', '1');
  if (process.getuid?.() !== 0) return;
  expect(await changes.restoreAll()).toEqual([expect.stringContaining('no.such.sysctl to 1')]);
});
