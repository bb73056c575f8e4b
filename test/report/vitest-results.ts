/** Reads vitest's JSON report: how many tests of a suite passed, failed, were skipped. */
import { readFile } from 'node:fs/promises';
import { messageOf } from '../../appliance/errors.ts';

export type SuiteResult = {
  name: string;
  passed: number;
  failed: number;
  skipped: number;
  /** Why the suite as a whole failed though no test did. */
  problem?: string;
  /** Files of the suite in which tests ran. */
  files: string[];
};

type VitestReport = {
  numPassedTests?: number;
  numFailedTests?: number;
  numPendingTests?: number;
  numTodoTests?: number;
  success?: boolean;
  testResults?: { name: string; status: string; message?: string; assertionResults?: { status: string }[] }[];
};

/**
 * A suite's result from its report's text and vitest's exit code. Files that failed before any of their tests
 * ran count as one failure each; a suite in which nothing ran is a failure: it proves nothing.
 */
export function readSuite(name: string, report: string, exitCode: number): SuiteResult {
  const {
    numPassedTests = 0,
    numFailedTests = 0,
    numPendingTests = 0,
    numTodoTests = 0,
    testResults = [],
  } = JSON.parse(report) as VitestReport;
  const brokenFiles = testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults?.some((test) => test.status === 'failed'),
  );
  const result: SuiteResult = {
    name,
    passed: numPassedTests,
    failed: numFailedTests + brokenFiles.length,
    skipped: numPendingTests + numTodoTests,
    files: testResults.map((file) => file.name),
  };
  if (brokenFiles.length > 0) return { ...result, problem: `did not run: ${brokenFiles.map((file) => file.name).join(', ')}` };
  if (result.passed + result.failed === 0) return { ...result, failed: 1, problem: 'no test ran' };
  if (exitCode !== 0 && result.failed === 0) return { ...result, failed: 1, problem: `vitest ended with code ${exitCode}` };
  return result;
}

/** As readSuite, from a file; a missing or broken report is a failed suite. */
export async function readSuiteFile(name: string, path: string, exitCode: number): Promise<SuiteResult> {
  try {
    return readSuite(name, await readFile(path, 'utf8'), exitCode);
  } catch (error) {
    return {
      name,
      passed: 0,
      failed: 1,
      skipped: 0,
      files: [],
      problem: `no report (${messageOf(error)}), vitest ended with code ${exitCode}`,
    };
  }
}

/** The last line of every test run, alone on its line. */
export const totals = (suites: readonly SuiteResult[]): string => {
  const sum = (key: 'passed' | 'failed'): number => suites.reduce((total, suite) => total + suite[key], 0);
  return `${sum('passed')} passed, ${sum('failed')} failed`;
};
