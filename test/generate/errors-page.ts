/** docs/errors.md, made from the error catalogue. `node test/generate/errors-page.ts` writes it, `--check` compares. */
import { join } from 'node:path';
import { catalogue } from '../../appliance/errors.ts';
import { settle } from './settle.ts';

export const errorsPage = (): string => {
  const entries = Object.entries(catalogue).sort(([a], [b]) => a.localeCompare(b));
  return [
    '# Error catalogue',
    '',
    "Every failure Croft reports carries one of these codes: as `code` in the API's problem answers (RFC 9457), in the CLI's",
    'messages and in the console. The message itself names the field, the value and what would be right; codes never change their meaning.',
    '',
    '*Made from `appliance/errors.ts` by `test/generate/errors-page.ts`.*',
    '',
    ...entries.flatMap(([code, { status, title, fix }]) => [
      `## ${code}`,
      '',
      `${title}. HTTP ${status}.`,
      '',
      `*What to do:* ${fix}`,
      '',
    ]),
  ].join('\n');
};

if (import.meta.main) await settle(join(import.meta.dirname, '../../docs/errors.md'), errorsPage());
