import { describe, expect, it } from 'vitest';
import { noSpace, planSpace, spaceSentence, type SpaceFacts } from '../../../appliance/vm/space-watch.ts';

const GiB = 2 ** 30;
const full = [{ name: 'local', free: GiB, reserve: 2 * GiB }];
const roomy = [{ name: 'local', free: 3 * GiB, reserve: 2 * GiB }];
const facts = (more: Partial<SpaceFacts>): SpaceFacts => ({
  state: 'running',
  held: false,
  ioError: undefined,
  grew: false,
  pools: full,
  ...more,
});

describe('a pool below its reserve', () => {
  it.each([
    ['pauses the VM that makes its disks grow', { grew: true }, 'pause'],
    ['leaves one alone that does not', {}, 'none'],
    ['leaves all alone while there is space', { grew: true, pools: roomy }, 'none'],
    ['keeps paused whom it paused', { state: 'paused', held: true }, 'none'],
    ['lets go on whom it paused, once there is space', { state: 'paused', held: true, pools: roomy }, 'resume'],
    ['leaves paused whom a person paused', { state: 'paused', pools: roomy }, 'none'],
    ['forgets whom a person let go on', { held: true }, 'forget'],
    ['keeps stopped whom a full disk stopped', { state: 'io-error', ioError: { disk: 'root', reason: noSpace } }, 'none'],
    [
      'lets go on whom a full disk stopped',
      { state: 'io-error', ioError: { disk: 'root', reason: noSpace }, pools: roomy },
      'resume',
    ],
    ['tries once where the reason was forgotten', { state: 'io-error', pools: roomy }, 'resume'],
    ['leaves a broken disk to people', { state: 'io-error', ioError: { disk: 'root', reason: 'EIO' }, pools: roomy }, 'none'],
  ] as const)('%s', (_title, more, step) => {
    expect(planSpace(facts(more as Partial<SpaceFacts>))).toBe(step);
  });

  it('is told with numbers', () => {
    expect(spaceSentence(facts({ state: 'paused', held: true }))).toBe(
      'It was paused because pool local has 1 GiB free and keeps 2 GiB in reserve. It goes on when space returns.',
    );
    expect(spaceSentence(facts({ state: 'io-error', ioError: { disk: 'data', reason: noSpace } }))).toContain(
      'Disk data could not be read or written: no space left; pool local has 1 GiB free',
    );
    expect(spaceSentence(facts({}))).toBeUndefined();
  });
});
