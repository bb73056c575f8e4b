/** What VMs and the box have used, as `/v1` and Prometheus tell it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projectSparklines, thin } from '../../ui-api/server/projections/history.ts';
import type { History } from '../../ui-api/schemas/history.ts';
import { type Harness, startApi } from './harness.ts';

let api: Harness;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

test('a history has its series in step, unknown values as null', async () => {
  const { body } = await api.call<History>('GET', '/v1/node/history?range=day');
  expect(body).toMatchObject({ kind: 'history', range: 'day', step: 300 });
  expect(body.cpu).toHaveLength(288);
  expect(body.cpu.slice(-3)).toEqual([null, 1.5, 1.5]);
  expect(body.diskLatency.at(-1)).toBe(0.5);
});

test('a VM that is not there, and a range that is none, are refused by name', async () => {
  expect(await api.call('GET', '/v1/vms/nobody/history')).toMatchObject({ status: 404, body: { code: 'not-found' } });
  const { status, body } = await api.call('GET', '/v1/node/history?range=year');
  expect(status).toBe(400);
  expect(JSON.stringify(body)).toMatch(/range.*hour.*month/);
});

test('lines of a list are averages of neighbours', () => {
  expect(thin([1, 3, null, null, 5], 2)).toEqual([2, null, 5]);
  expect(projectSparklines(new Map(), 0)).toMatchObject({ vms: {} });
});
