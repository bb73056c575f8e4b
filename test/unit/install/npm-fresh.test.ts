import { expect, test } from 'vitest';
import { staleEntries } from '../../../appliance/install/npm-fresh.ts';

const locked = {
  packages: {
    '': { version: '0.1.0' },
    'node_modules/a': { version: '1.0.0' },
    'node_modules/b-darwin': { version: '1.0.0', optional: true },
  },
};

test('the same versions are fresh, whatever the optional packages of other platforms', () => {
  expect(staleEntries(locked, { packages: { 'node_modules/a': { version: '1.0.0' } } })).toEqual([]);
});

test('a missing or other version is stale', () => {
  expect(staleEntries(locked, { packages: {} })).toEqual(['node_modules/a']);
  expect(
    staleEntries(locked, { packages: { 'node_modules/a': { version: '1.0.0' }, 'node_modules/b-darwin': { version: '2.0.0' } } }),
  ).toEqual(['node_modules/b-darwin']);
});
