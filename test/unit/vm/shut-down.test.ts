import { expect, test } from 'vitest';
import { silentLogger } from '../../../appliance/host/logger.ts';
import type { Guest, GuestRunState } from '../../../appliance/vm/hypervisor.ts';
import { shutDownGuests, shutDownOrder } from '../../../appliance/vm/shut-down.ts';

const last = Number.POSITIVE_INFINITY;

/** A guest that does as it is told after so many looks; `deaf` never. */
function pretended(id: string, said: string[], { state = 'running' as GuestRunState, looks = 2, deaf = false } = {}): Guest {
  let now = state;
  let left = Number.POSITIVE_INFINITY;
  return {
    id,
    state: async () => {
      if (left-- <= 0 && now === 'running') now = 'shutdown';
      return now;
    },
    resume: async () => {
      said.push(`${id} resumed`);
      now = 'running';
    },
    powerdown: async () => {
      said.push(`${id} pressed`);
      if (!deaf) left = looks;
    },
    kill: async () => void said.push(`${id} ${now === 'shutdown' ? 'off' : 'killed'}`),
  } as unknown as Guest;
}

test('the last to start are the first to go', () => {
  const guests = ['a', 'b', 'c', 'd'].map((id) => ({ id }));
  const order: Record<string, number> = { a: 1, b: last, c: 2, d: last };
  const groups = shutDownOrder(guests, (id) => order[id] ?? last);
  expect(groups.map((group) => group.map(({ id }) => id))).toEqual([['b', 'd'], ['c'], ['a']]);
});

test('each is switched off before the next order; paused ones hear it too', async () => {
  const said: string[] = [];
  const guests = [pretended('database', said), pretended('web', said, { state: 'paused' })];
  const orderOf = (id: string) => (id === 'database' ? 1 : 2);
  expect(await shutDownGuests({ guests, orderOf, patience: 20_000, logger: silentLogger() })).toEqual([]);
  expect(said).toEqual(['web resumed', 'web pressed', 'web off', 'database pressed', 'database off']);
});

test('one that does not listen is ended in its share of the time, and keeps nobody', async () => {
  const said: string[] = [];
  const broken = { ...pretended('broken', said), state: () => Promise.reject(new Error('no QMP')) };
  const guests = [pretended('deaf', said, { deaf: true }), pretended('good', said), broken];
  const begun = Date.now();
  const forced = await shutDownGuests({ guests, orderOf: () => last, patience: 700, logger: silentLogger() });
  expect(forced.toSorted()).toEqual(['broken', 'deaf']);
  expect(said).toContain('deaf killed');
  expect(said).toContain('good off');
  expect(Date.now() - begun).toBeLessThan(5_000);
});
