/** A sample of the soak's downloads (test/soak/downloads.ts): servers that misbehave in random order. */
import { expect, it } from 'vitest';
import { openDownloads } from '../../soak/downloads.ts';
import { seedOf } from '../../soak/soak.ts';

const seed = Number(process.env.CROFT_SEED ?? Math.floor(Math.random() * 2 ** 31));

it(`downloads end with the file or with a coded error (CROFT_SEED=${seed})`, { timeout: 60_000 }, async () => {
  const { round, close } = await openDownloads();
  const outcomes: string[] = [];
  for (let index = 0; index < 40; index++) outcomes.push(await round(seedOf(seed, index)));
  await close();
  expect(outcomes).toHaveLength(40);
});
