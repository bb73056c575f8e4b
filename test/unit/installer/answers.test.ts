import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseAnswers } from '../../../installer/answers.ts';
import { isCroftError } from '../../../appliance/errors.ts';

const good = { version: 1, hostname: 'box1', systemDisk: 'auto' };
const yaml = (value: unknown): string => JSON.stringify(value);

const refusal = (text: string): string => {
  try {
    parseAnswers(text, 'answers.yaml');
  } catch (error) {
    if (isCroftError(error, 'invalid-input')) return error.message;
    throw error;
  }
  return 'accepted';
};

test('the smallest answers, and all of them', () => {
  expect(parseAnswers(yaml(good))).toEqual(good);
  const administrator = { name: 'ada', password: 'correct horse' };
  const network = {
    interface: '52:54:00:12:34:56',
    addresses: ['192.0.2.10/24'],
    gateway: '192.0.2.1',
    dns: ['192.0.2.53'],
    vlan: 20,
  };
  const all = { ...good, systemDisk: { serial: 'S3Z9' }, administrator, network, finish: 'power-off' };
  expect(parseAnswers(yaml(all))).toEqual(all);
});

test.each([
  [{ ...good, hostname: 'Box_1' }, 'answers.yaml: hostname: "Box_1" must be one DNS label'],
  [{ ...good, hostname: undefined }, 'answers.yaml: hostname is missing: it must be one DNS label'],
  [{ ...good, version: 2 }, 'answers.yaml: version: 2 must be 1'],
  [{ ...good, systemDisk: '/dev/sda' }, 'answers.yaml: systemDisk: "/dev/sda" must be auto, or {serial: SERIAL}'],
  [{ ...good, systemDisk: { serial: 7 } }, 'answers.yaml: systemDisk: {"serial":7} must be auto'],
  [{ ...good, finish: 'dance' }, 'answers.yaml: finish: "dance" must be reboot or power-off'],
  [
    { ...good, hostnam: 'x' },
    'answers.yaml: hostnam is no field; there are version, hostname, systemDisk, administrator, network, finish',
  ],
  [{ ...good, network: { addresses: ['192.0.2.10/24'] } }, 'network: {"addresses":["192.0.2.10/24"]} must be {interface'],
  [
    { ...good, network: { interface: 'eth0', addresses: ['192.0.2.10'] } },
    'network: addresses: "192.0.2.10" must be an address with',
  ],
  [
    { ...good, network: { interface: 'eth0', addresses: ['192.0.2.10/33'] } },
    'network: addresses: "192.0.2.10/33" must be an address with',
  ],
  [
    { ...good, network: { interface: 'eth0', addresses: ['192.0.2.10/24'], gateway: 'box' } },
    'network: gateway: "box" must be an address',
  ],
])('%o is refused', (value, message) => {
  expect(refusal(yaml(value))).toContain(message);
});

test('a password that is refused is not shown', () => {
  const message = refusal(yaml({ ...good, administrator: { password: 'short' } }));
  expect(message).toContain('administrator: must be {name: NAME, password: TEXT}');
  expect(message).not.toContain('short');
});

test('all wrong fields are named at once', () => {
  expect(refusal(yaml({ version: 2, hostname: '-', systemDisk: 'auto' }))).toMatch(/version: 2 .*; hostname: "-" /);
});

test.each([
  ['', /must be a mapping/],
  ['- a\n- b\n', /must be a mapping/],
  ['a: [1', /not YAML/],
  ['version: 1\nversion: 1\n', /not YAML/],
])('%j is no answers file', (text, message) => {
  expect(refusal(text)).toMatch(message);
});

test('the documented example is right', async () => {
  const text = await readFile(join(import.meta.dirname, '../../../docs/appliance.md'), 'utf8');
  const example = /```yaml\n(version: 1[^`]*)```/.exec(text)?.[1];
  expect(parseAnswers(example ?? '')).toMatchObject({ version: 1 });
});
