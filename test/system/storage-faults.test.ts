/** Twenty faults of storage by a seed, under verify load, on real Ceph: nothing acknowledged is lost (`npm run soak` does 100). */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { cephMissing } from '../helpers/ceph-missing.ts';
import { inside, namespacesMissing, runInside } from '../helpers/netns.ts';
import { seedOf } from '../soak/soak.ts';
import { clockMissing, openStorageFaults } from '../soak/storage-faults.ts';

const seed = Number(process.env.CROFT_SEED ?? 20_261);
const rounds = Number(process.env.CROFT_ROUNDS ?? 20);
const limit = 60_000 + rounds * 60_000;
/** Both tests, in a namespace of their own. */
const all = limit + 200_000;
/** A stalled write of 15 s is the goal; a machine with other work to do adds to it. */
const longest = 25_000;

describe.skipIf(inside || (namespacesMissing() ?? cephMissing()) !== undefined)('storage on bad days', () => {
  it('loses nothing', { timeout: all + 30_000 }, async () => {
    expect(await runInside(fileURLToPath(import.meta.url), all)).toContain('passed');
  });
});

describe.runIf(inside)('inside', () => {
  it(`goes on after each of ${rounds} faults, seed ${seed}`, { timeout: limit }, async () => {
    const storage = await openStorageFaults();
    try {
      for (let round = 0; round < rounds; round++) {
        process.stdout.write(`figure: ${round}: ${await storage.round(seedOf(seed, round))}\n`);
      }
      process.stdout.write(`figure: worst stalls, ms: ${JSON.stringify(storage.worst())}\n`);
      expect(Math.max(...Object.values(storage.worst()))).toBeLessThan(longest);
    } finally {
      await storage.close();
    }
  });

  it.skipIf(clockMissing() !== undefined)('goes on when the clock is stepped, to and fro', { timeout: 200_000 }, async () => {
    const storage = await openStorageFaults({ clock: true });
    try {
      for (const seconds of [3_600, 7_200, -1_800, 0]) {
        process.stdout.write(`figure: clock at ${seconds} s, worst stall ${await storage.step(seconds)} ms\n`);
      }
    } finally {
      await storage.close();
    }
  });
});
