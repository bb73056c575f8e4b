import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startFakeApi, vmNamed, type FakeApi } from './fake-api.ts';
import { runCli } from './run-cli.ts';

let api: FakeApi;
beforeEach(async () => {
  api = await startFakeApi();
});
afterEach(() => api.close());

const croft = (...args: string[]) => runCli(args, { env: { CROFT_HOST: api.url } });
const send = (response: ServerResponse, body: unknown, status = 200, headers: Record<string, string> = {}): void => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
};
const task = (state: string, more: object = {}) => ({
  kind: 'task',
  id: 't1',
  verb: 'cluster.init',
  state,
  progress: 1,
  ...more,
});

describe('croft cluster status', () => {
  it('says how it is, in words', async () => {
    const words = 'The API answers and this node is Ready.';
    api.routes['GET /v1/cluster'] = (_request, response) =>
      send(response, { kind: 'cluster', state: 'ready', words, version: 'v1.36.3', standIn: true, address: '192.0.2.1' });
    const { stdout, code } = await croft('cluster', 'status');
    expect(code).toBe(0);
    expect(stdout).toContain('v1.36.3 (lab stand-in)');
    expect(stdout).toContain(`  ${words}\n`);
  });
});

describe('croft cluster init', () => {
  it('sends what it was given, waits for the task and for the move', async () => {
    const states = ['moving', 'moving', 'ready'];
    api.routes['POST /v1/cluster/init'] = (_request, response) => send(response, task('running'), 202);
    api.routes['GET /v1/tasks/t1'] = (_request, response) => send(response, task('succeeded'));
    api.routes['GET /v1/cluster'] = (_request, response) =>
      send(response, { kind: 'cluster', state: states.length > 1 ? states.shift() : states[0], words: 'on its way' });
    const { code, stderr } = await croft('cluster', 'init', '--k3s', '/opt/k3s', '--images', '/a.tar', '--kubelet-arg', 'v=2');
    expect(stderr).toContain('The cluster is ready');
    expect(code).toBe(0);
    expect(api.seen.find(({ method }) => method === 'POST')?.body).toEqual({
      k3s: '/opt/k3s',
      images: ['/a.tar'],
      kubeletArgs: ['v=2'],
    });
  });

  it('ends with what the box says when the preparation fails, and when the move was undone', async () => {
    api.routes['POST /v1/cluster/init'] = (_request, response) => send(response, task('running'), 202);
    api.routes['GET /v1/tasks/t1'] = (_request, response) =>
      send(response, task('failed', { error: { code: 'invalid-input', detail: 'This is no k3s binary.' } }));
    expect(await croft('cluster', 'init')).toMatchObject({ code: 1, stderr: expect.stringContaining('This is no k3s binary.') });
    api.routes['GET /v1/tasks/t1'] = (_request, response) => send(response, task('succeeded'));
    api.routes['GET /v1/cluster'] = (_request, response) =>
      send(response, {
        kind: 'cluster',
        state: 'none',
        words: 'alone',
        failed: { at: '', code: 'internal', detail: 'It did not keep a field.' },
      });
    expect(await croft('cluster', 'init')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('It did not keep a field.'),
    });
  });
});

it('says once that what it shows is what was known', async () => {
  api.routes['GET /v1/vms'] = (_request, response) =>
    send(response, { items: [vmNamed('web')] }, 200, { 'x-croft-stale-since': '2026-01-01T00:00:00.000Z' });
  const { stdout, stderr } = await croft('vm', 'list');
  expect(stdout).toContain('web');
  expect(stderr).toBe('croft: Kubernetes does not answer; this is what was known at 2026-01-01T00:00:00.000Z.\n');
});
