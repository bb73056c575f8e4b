/** A sample of the soak's bad days (test/soak/bad-days.ts) on a real box with real QEMUs. `npm run soak` has the full counts. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openBadDays, type BadDays, type Fault } from '../soak/bad-days.ts';
import { seedOf } from '../soak/soak.ts';

const seed = Number(process.env.CROFT_SEED ?? Math.floor(Math.random() * 2 ** 31));
const others: readonly Fault[] = ['qemu', 'qmp', 'vswitchd', 'ovsdb', 'dnsmasq'];

let days: BadDays;
beforeAll(async () => {
  days = await openBadDays(others);
});
afterAll(() => days?.close());

it(`a killed service loses nothing and leaves nothing (CROFT_SEED=${seed})`, { timeout: 300_000 }, async () => {
  expect(await days.round(seedOf(seed, 0), 'service')).toMatch(/^service/);
});

it(`another part that dies is mended (CROFT_SEED=${seed})`, { timeout: 300_000 }, async () => {
  const fault = others[seed % others.length] as Fault;
  expect(await days.round(seedOf(seed, 1), fault)).toMatch(fault);
});
