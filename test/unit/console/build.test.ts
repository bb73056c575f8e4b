/** A build belongs to all it is made of: what the console takes from other parts of the tree is among its inputs. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { inputs } from '../../../ui-api/console/build.ts';
import { importsOf, projectFiles } from '../../house-rules/sources.ts';

const home = join(import.meta.dirname, '../../..');

it('names every file outside that the console imports, and nothing that is not there', () => {
  expect(inputs.filter((path) => !existsSync(join(home, path)))).toEqual([]);
  const sources = projectFiles('.ts', '.tsx').filter(({ path }) => path.startsWith('ui-api/console/src/'));
  const outside = new Set(
    sources
      .flatMap((source) => importsOf(source))
      .filter(({ typeOnly }) => !typeOnly)
      .map(({ target }) => target)
      .filter(
        (target) => existsSync(join(home, target)) && !inputs.some((path) => target === path || target.startsWith(`${path}/`)),
      ),
  );
  expect([...outside]).toEqual([]);
});
