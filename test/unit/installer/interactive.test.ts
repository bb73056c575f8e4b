import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import type { Disk } from '../../../installer/disks.ts';
import { converse } from '../../../installer/interactive/converse.ts';
import { decide, type Facts, screens } from '../../../installer/interactive/screens.ts';
import { openTerminal } from '../../../installer/interactive/terminal.ts';
import { planInstallation } from '../../../installer/plan.ts';

const gib = 2 ** 30;
const disk = (changes: Partial<Disk>): Disk => ({
  path: '/dev/sda',
  serial: 'S1',
  model: 'Disk',
  size: 40 * gib,
  readOnly: false,
  removable: false,
  inUse: false,
  content: [],
  unfinished: false,
  ...changes,
});
const facts: Facts = {
  release: {
    name: 'croft',
    version: '1',
    variant: 'full',
    epoch: 0,
    slotSize: gib,
    minimumDisk: 20 * gib,
    minimumMemory: 4 * gib,
  },
  machine: { memory: 8 * gib, virtualization: true },
  disks: [
    disk({ content: ['sda1: ntfs'] }),
    disk({ path: '/dev/sdb', serial: '', size: 30 * gib }),
    disk({ path: '/dev/sdc', size: gib }),
    disk({ path: '/dev/sdd', inUse: true }),
  ],
};

/** What a person who types these keys sees, and what it comes to. */
async function typed(keys: string, given: Facts = facts) {
  const input = new PassThrough();
  const output = new PassThrough();
  let seen = '';
  output.on('data', (bytes) => (seen += String(bytes)));
  const terminal = openTerminal(input as unknown as NodeJS.ReadStream, output);
  const told = converse(screens, given, terminal);
  input.end(keys);
  const choices = await told.catch((error: unknown) => error);
  return { choices, seen: () => seen };
}

const through = ['', '', 'box1', '', 'correct horse', 'erase'];
const lines = (...parts: string[]): string => parts.map((part) => `${part}\r`).join('');

test('enter takes the empty disk and the proposals', async () => {
  const { choices } = await typed(lines(...through));
  expect(choices).toMatchObject({ disk: { path: '/dev/sdb' }, hostname: 'box1', user: 'admin', password: 'correct horse' });
});

test.each([
  ['the disk', ['', '9'], /A number from 1 to 4/],
  ['a disk that is too small', ['', '3'], /has 1\.0 GiB; the system disk needs 20\.0 GiB/],
  ['a disk in use', ['', '4'], /is in use/],
  ['the name', ['', '', 'Box_1'], /must be one DNS label/],
  ['the user', ['', '', 'b', 'Ada L'], /must be 1 to 63 of a-z/],
  ['the password', ['', '', 'b', '', 'short'], /5 characters; it must be at least 10/],
  ['the confirmation', ['', '', 'b', '', 'correct horse', 'yes'], /Type the word erase/],
  ['the first question', ['no'], /Type yes/],
] as const)('a wrong answer to %s says what would be right, and asks again', async (_what, answers, words) => {
  const { seen } = await typed(lines(...answers));
  expect(seen()).toMatch(words);
});

test('a disk with data can be chosen; what is on it is named before anything is erased', async () => {
  const { choices, seen } = await typed(lines('', '1', 'box1', '', 'correct horse', 'erase'));
  expect(seen()).toContain('NOT EMPTY: sda1: ntfs');
  expect(seen()).toContain('EVERYTHING ON /dev/sda IS ERASED');
  const { answers, disks } = decide(choices as never);
  const ids = { bios: '1', esp: '2', env: '3', A: '4', B: '5', state: '6' };
  const around = { disks, release: facts.release, medium: '/m', loaders: '/l', scratch: '/s', ids, machineId: 'm' };
  expect(planInstallation(answers, around)).toContainEqual({ kind: 'write-unfinished-mark', disk: '/dev/sda' });
});

test('back works on every screen and keeps what was said', async () => {
  const { choices, seen } = await typed(
    lines('<', '', '', 'first', '<', '<', '2', '', 'ada', '<', '', 'correct horse', '<', 'correct horse', 'erase'),
  );
  expect(choices).toMatchObject({ hostname: 'first', user: 'ada' });
  expect(seen()).toContain('Name [first]');
});

test('a question mark explains; a password is never shown; mistakes are deleted', async () => {
  const { choices, seen } = await typed(lines('?', '', '', 'bxx\u007f\u007fox', '', 'corr\u0015correct horse', 'erase'));
  expect(choices).toMatchObject({ hostname: 'box', password: 'correct horse' });
  expect(seen()).toContain('Four questions follow');
  expect(seen()).not.toContain('corr');
});

test('a machine that cannot run Croft is told so and goes no further', async () => {
  const { seen } = await typed(lines('', ''), { ...facts, machine: { memory: gib, virtualization: false } });
  expect(seen()).toContain('STOP: The machine has 1.0 GiB of memory');
  expect(seen()).not.toContain('System disk');
});

test('CR LF is one end of line; without a terminal it ends', async () => {
  const { choices } = await typed(through.map((part) => `${part}\r\n`).join(''));
  expect(choices).toMatchObject({ hostname: 'box1' });
  expect((await typed('')).choices).toBeInstanceOf(Error);
});
