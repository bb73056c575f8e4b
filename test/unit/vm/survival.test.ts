import { expect, it } from 'vitest';
import { survivalSentence } from '../../../appliance/vm/survival.ts';

it('says what the disks of a VM survive', () => {
  const disk = (name: string, pool: string, survives?: number) => ({ name, pool, survives });
  expect(survivalSentence([])).toBeUndefined();
  expect(survivalSentence([disk('root', 'local')])).toBe(
    'Its disks have one copy, in pool local: lost if the disk beneath fails.',
  );
  expect(survivalSentence([disk('root', 'safe', 1), disk('data', 'local')])).toBe(
    'data has one copy, in pool local: lost if the disk beneath fails.',
  );
  expect(survivalSentence([disk('root', 'safe', 1), disk('data', 'safest', 2)])).toBe('Its disks survive one more failure.');
  expect(survivalSentence([disk('root', 'safest', 2)])).toBe('Its disks survive 2 more failures.');
  expect(survivalSentence([disk('root', 'safe', 0), disk('data', 'other', 1)])).toBe(
    'root may be lost if one more disk of pool safe fails now.',
  );
});
