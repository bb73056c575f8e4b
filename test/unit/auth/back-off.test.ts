import { describe, expect, it } from 'vitest';
import { isCroftError } from '../../../appliance/errors.ts';
import { createBackOff, waitAfter } from '../../../ui-api/auth/back-off.ts';

describe('waits after wrong passwords', () => {
  it('grow from a second to a minute and no further', () => {
    expect([4, 5, 6, 7, 10, 11, 12, 1000].map(waitAfter)).toEqual([0, 1000, 2000, 4000, 32_000, 60_000, 60_000, 60_000]);
  });

  it('let one try through each minute at last, so that nobody can lock a name', () => {
    let now = 0;
    const backOff = createBackOff(() => now);
    let taken = 0;
    for (; now < 24 * 3_600_000; now += 500) {
      try {
        backOff.begin('ana');
        taken++;
      } catch (error) {
        if (!isCroftError(error, 'too-many-requests') || !error.retryAfter) throw error;
      }
    }
    expect(taken).toBeGreaterThan(1400);
    expect(taken).toBeLessThan(1460);
  });

  it('count many at once, each', () => {
    const backOff = createBackOff(() => 0);
    for (let tries = 0; tries < 5; tries++) backOff.begin('ana');
    expect(() => backOff.begin('ana')).toThrow('5 sign-ins');
    expect(() => backOff.begin('ben')).not.toThrow();
  });

  it('end with the right password, and after a quarter of an hour', () => {
    let now = 0;
    const backOff = createBackOff(() => now);
    const five = () => [1, 2, 3, 4, 5].forEach(() => backOff.begin('ana'));
    five();
    backOff.succeeded('ana');
    five();
    expect(() => backOff.begin('ana')).toThrow();
    now += 15 * 60_000;
    five();
  });

  it('remember no more than so many names', () => {
    const backOff = createBackOff(() => 0);
    for (let tries = 0; tries < 5; tries++) backOff.begin('ana');
    for (let name = 0; name < 10_000; name++) backOff.begin(`n${name}`);
    expect(() => backOff.begin('ana')).not.toThrow();
  });
});
