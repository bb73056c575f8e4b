/** What VMs and the box have used, as `/v1` and Prometheus tell it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projectSparklines } from '../../ui-api/server/projections/history.ts';
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

test('lines of a list add what belongs together, and a gap stays a gap', () => {
  const known = [null, 1.23456, 2];
  const vm = { range: 'line', start: 0, step: 120_000, cpu: known, memory: known, diskRead: known, diskWrite: [1, null, null] };
  const kept = { ...vm, netReceived: known, netTransmitted: known, reads: known, writes: known, diskBusy: known } as never;
  expect(projectSparklines(new Map([['vm-1', kept]]), 0)).toMatchObject({
    step: 120,
    vms: { 'vm-1': { cpu: [null, 1.235, 2], disk: [1, 1.235, 2], network: [null, 2.469, 4] } },
  });
  expect(projectSparklines(new Map(), 0)).toMatchObject({ vms: {} });
});
