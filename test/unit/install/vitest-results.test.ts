import { expect, test } from 'vitest';
import { componentTable, mergeUses } from '../../report/components.ts';
import { readSuite, totals } from '../../report/vitest-results.ts';

const report = (fields: object): string => JSON.stringify({ numPassedTests: 0, numFailedTests: 0, testResults: [], ...fields });

test('a suite in which no test ran is a failure', () => {
  expect(readSuite('s', report({}), 0)).toMatchObject({ failed: 1, problem: 'no test ran' });
  expect(readSuite('s', report({ numPendingTests: 7 }), 0)).toMatchObject({ failed: 1, skipped: 7 });
});

test('a file that broke before its tests is a failure beside those that passed', () => {
  const testResults = [{ name: '/x/broken.test.ts', status: 'failed', assertionResults: [] }];
  const suite = readSuite('s', report({ numPassedTests: 3, testResults }), 1);
  expect(suite).toMatchObject({ passed: 3, failed: 1 });
  expect(suite.problem).toContain('broken.test.ts');
});

test('an exit code without a failed test is a failure (an unhandled rejection ends so)', () => {
  expect(readSuite('s', report({ numPassedTests: 3 }), 1)).toMatchObject({ passed: 3, failed: 1 });
});

test('the last line sums up all suites', () => {
  const suites = [
    readSuite('a', report({ numPassedTests: 3 }), 0),
    readSuite('b', report({ numPassedTests: 4, numFailedTests: 2 }), 1),
  ];
  expect(totals(suites)).toBe('7 passed, 2 failed');
});

test('the table takes what tests reported, real before simulated, and the reason where none did', () => {
  const known = [
    { component: 'QEMU', version: '7.2.0', otherwise: 'no test used it' },
    { component: 'KVM', otherwise: 'no /dev/kvm here' },
  ];
  const rows = mergeUses(known, [
    { component: 'QEMU', mode: 'simulated' },
    { component: 'QEMU', mode: 'real', note: 'TCG' },
  ]);
  expect(componentTable(rows)).toBe(
    [
      'COMPONENT  VERSION  RAN      NOTE',
      'QEMU       7.2.0    real     TCG',
      'KVM        -        not run  no /dev/kvm here',
    ].join('\n'),
  );
});
