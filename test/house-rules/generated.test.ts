/** Checked-in generated files are what their generators make. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorsPage } from '../generate/errors-page.ts';
import { home } from './sources.ts';

test('docs/errors.md is the error catalogue (node test/generate/errors-page.ts)', () => {
  expect(readFileSync(join(home, 'docs/errors.md'), 'utf8')).toBe(errorsPage());
});
