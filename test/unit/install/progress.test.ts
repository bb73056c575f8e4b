import { expect, test } from 'vitest';
import { parseStatus, progressLine } from '../../../appliance/install/progress.ts';

test('status lines of apt and dpkg', () => {
  expect(parseStatus('dlstatus:1:9.0909:Retrieving file 1 of 11')).toEqual({
    phase: 'fetch',
    percent: 9.0909,
    text: 'Retrieving file 1 of 11',
  });
  expect(parseStatus('pmstatus:qemu-utils:42.5:Unpacking qemu-utils (amd64)')).toMatchObject({ phase: 'install', percent: 42.5 });
  expect(parseStatus('pmstatus:libc6:amd64:50:Configuring libc6:amd64')).toMatchObject({ percent: 50 });
  expect(parseStatus('Selecting previously unselected package cpio.')).toBeUndefined();
});

test('progress is told at the begin of a phase and every 20 percent, not for every package', () => {
  const lines: string[] = [];
  const show = progressLine((line) => lines.push(line));
  for (let percent = 0; percent <= 100; percent += 5) show(`dlstatus:${percent}:${percent}:Retrieving`);
  for (let percent = 0; percent <= 100; percent += 50) show(`pmstatus:p${percent}x:${percent}:Unpacking`);
  expect(lines).toEqual([
    ...[0, 20, 40, 60, 80, 100].map((percent) => `Fetching Debian packages: ${percent} %`),
    ...[0, 50, 100].map((percent) => `Installing Debian packages: ${percent} %`),
  ]);
});
