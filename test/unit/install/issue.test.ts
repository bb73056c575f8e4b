import { expect, test } from 'vitest';
import { issueText } from '../../../appliance/install/issue.ts';

const facts = { version: '1.0.0', hostname: 'box1', port: 8440 };

test('the screen says how to reach the box, and how to sign in while nobody can', () => {
  const text = issueText({
    ...facts,
    addresses: ['192.0.2.7', '2001:db8::7'],
    fingerprint: 'AB:CD',
    setupPath: '/setup#token.',
  });
  expect(text.trim().split('\n')).toEqual([
    'Croft 1.0.0 on box1',
    'Console and API: https://192.0.2.7:8440  https://[2001:db8::7]:8440',
    'Certificate, SHA-256: AB:CD',
    "Set the administrator's password, once: https://192.0.2.7:8440/setup#token.",
  ]);
});

test('without an address it says that it waits for one', () => {
  const text = issueText({ ...facts, addresses: [], setupPath: '/setup#token.' });
  expect(text).toContain('waiting for an address');
  expect(text).not.toContain('setup#');
  expect(text).not.toContain('\\');
});
