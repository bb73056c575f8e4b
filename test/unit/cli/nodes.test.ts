/** `croft node maintenance`, `balance` and `losses`: what they ask, wait for and say. */
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startFakeApi, type FakeApi } from './fake-api.ts';
import { runCli } from './run-cli.ts';

let api: FakeApi;
beforeEach(async () => {
  api = await startFakeApi();
});
afterEach(() => api.close());

const croft = (line: string) => runCli(line.split(' '), { env: { CROFT_HOST: api.url } });
const send = (response: ServerResponse, body: unknown): void => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
};
const departures = [
  { vm: 'web', project: 'shop', to: 'box-2' },
  { vm: 'db', project: 'shop', stays: 'Disk root is in pool local.' },
];
const plan = (on: boolean) => ({ kind: 'maintenance', node: 'box-1', on, departures: on ? departures : [] });
const path = 'POST /v1/nodes/box-1/maintenance';
/** The box's state at each look. */
const passesThrough = (...states: string[]): void => {
  const conditions = [{ type: 'Maintenance', status: 'True', message: '1 VM is left. db: Disk root is in pool local.' }];
  api.routes['GET /v1/nodes'] = (_request, response) => {
    const state = states.length > 1 ? states.shift() : states[0];
    send(response, { items: [{ kind: 'node', name: 'box-1', state, components: [], conditions }] });
  };
};

it('shows the plan, and waits until the box can be switched off', async () => {
  api.routes[path] = (_request, response) => send(response, plan(true));
  passesThrough('ready', 'evacuating', 'maintenance');
  const { code, stderr } = await croft('node maintenance on box-1');
  expect(code).toBe(0);
  expect(stderr).toContain('shop/web goes to box-2.\nshop/db stays: Disk root is in pool local.');
  expect(stderr).toContain('Box box-1 is safe to power off');
  expect(api.seen[0]).toMatchObject({ method: 'POST', body: { on: true } });
});

it('asks only for the plan with --dry-run', async () => {
  api.routes[path] = (_request, response) => send(response, { dryRun: true, plan: [], result: plan(true) });
  const { stderr } = await croft('node maintenance on box-1 --dry-run');
  expect(stderr).toContain('shop/web goes to box-2.');
  expect(api.seen.map(({ method, query }) => [method, query.dryRun])).toEqual([['POST', 'true']]);
});

it('ends with what keeps the box from being empty', async () => {
  api.routes[path] = (_request, response) => send(response, plan(true));
  passesThrough('blocked');
  const { code, stderr } = await croft('node maintenance on box-1');
  expect(code).toBe(1);
  expect(stderr).toContain('db: Disk root is in pool local.');
});

it('lets the box take VMs again; and knows on and off only', async () => {
  api.routes[path] = (_request, response) => send(response, plan(false));
  expect((await croft('node maintenance off box-1')).stderr).toContain('box-1 takes VMs again.');
  expect((await croft('node maintenance maybe box-1')).code).toBe(2);
});

it('prints the commands that would even the boxes out, and what a death would do', async () => {
  const move = { vm: 'web', project: 'shop', from: 'box-1', to: 'box-2', why: 'box-1 is at 75 %.' };
  api.routes['GET /v1/nodes/balance'] = (_request, response) =>
    send(response, { kind: 'balance', boxes: [{ box: 'box-1', pressure: 0.75 }], moves: [move] });
  const balance = await croft('node balance');
  expect(balance.stderr).toContain('box-1: 75 %');
  expect(balance.stdout).toBe('croft vm migrate web --project shop --node box-2   # box-1 is at 75 %.\n');
  const manual = 'Nothing is taken over by itself with 1 of 3 voters.';
  api.routes['GET /v1/nodes/losses'] = (_request, response) =>
    send(response, { kind: 'losses', manual, boxes: [{ box: 'box-1', survived: false, departures }] });
  const losses = await croft('node losses');
  expect(losses.stderr).toContain(manual);
  expect(losses.stdout).toBe('box-1: not survived; 1 of 2 VMs start elsewhere\n  shop/db: Disk root is in pool local.\n');
});
