/** Checked-in generated files are what their generators make. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compatibilityPage } from '../generate/compatibility-page.ts';
import { configurationPage } from '../generate/configuration-page.ts';
import { errorsPage } from '../generate/errors-page.ts';
import { home } from './sources.ts';

test('docs/errors.md is the error catalogue (node test/generate/errors-page.ts)', () => {
  expect(readFileSync(join(home, 'docs/errors.md'), 'utf8')).toBe(errorsPage());
});

test('docs/configuration.md is the settings (node test/generate/configuration-page.ts)', () => {
  expect(readFileSync(join(home, 'docs/configuration.md'), 'utf8')).toBe(configurationPage());
});

test('docs/compatibility.md is the support table (node test/generate/compatibility-page.ts)', () => {
  expect(readFileSync(join(home, 'docs/compatibility.md'), 'utf8')).toBe(compatibilityPage());
});
