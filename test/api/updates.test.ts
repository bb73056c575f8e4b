import { afterEach, beforeEach, expect, it } from 'vitest';
import type { UpdateRequest, UpdateStatus } from '../../appliance/ports.ts';
import { newId } from '../../appliance/resources/identity.ts';
import { startApi, type Harness } from './harness.ts';

let api: Harness;
let asked: (UpdateRequest | string)[];
const status: UpdateStatus = {
  confirmed: true,
  slots: [
    { slot: 'A', state: 'running', version: '1.0.0', builtAt: '2026-01-01T00:00:00.000Z' },
    { slot: 'B', state: 'empty' },
  ],
};

beforeEach(async () => {
  asked = [];
  api = await startApi();
  api.app.croft.context.port.updates = {
    status: async () => status,
    begin: async (request) => {
      asked.push(request);
      const id = newId();
      void api.box.tasks.run({ id, verb: 'node.update', target: { kind: 'Node', name: 'n1' } }, async () => {});
      return id;
    },
    abort: async () => void asked.push('abort'),
    rollBack: async () => void asked.push('roll back'),
    restart: async () => void asked.push('restart'),
  };
});
afterEach(() => api.stop());

it('says which releases the box has', async () => {
  expect((await api.call('GET', '/v1/node/update')).body).toEqual({ kind: 'releases', ...status });
});

it('begins one from an address or an upload, and names the task', async () => {
  const url = 'https://updates.example/croft.update';
  const { status: code, headers, body } = await api.call('POST', '/v1/node/update', { body: { url } });
  expect(code).toBe(202);
  expect(headers.get('location')).toBe(`/v1/tasks/${String(body.id)}`);
  expect(body).toMatchObject({ kind: 'task', verb: 'node.update' });
  await api.call('POST', '/v1/node/update', { body: { upload: true, restart: true } });
  expect(asked).toEqual([{ url }, { upload: true, restart: true }]);
});

it('refuses what can never be right', async () => {
  for (const body of [{}, { url: 'ftp://x' }, { url: 'http://x', upload: true }, { upload: false }, { file: '/x' }]) {
    expect((await api.call('POST', '/v1/node/update', { body })).status).toBe(400);
  }
  expect((await api.call('POST', '/v1/node/update', { body: { upload: true }, as: 'operator' })).status).toBe(403);
  expect(asked).toEqual([]);
});

it('aborts, goes back and restarts', async () => {
  expect((await api.call('DELETE', '/v1/node/update')).status).toBe(204);
  expect((await api.call('POST', '/v1/node/rollback', { body: {} })).body).toMatchObject({ kind: 'releases' });
  expect((await api.call('POST', '/v1/node/rollback', { body: { restart: true } })).status).toBe(200);
  expect((await api.call('POST', '/v1/node/restart', { body: {} })).status).toBe(204);
  expect(asked).toEqual(['abort', 'roll back', 'roll back', 'restart', 'restart']);
});

it('takes a bundle in pieces', async () => {
  const path = '/v1/node/update/upload';
  expect((await api.call('GET', path)).status).toBe(404);
  expect((await api.call('POST', path, { body: { size: 4 } })).body).toMatchObject({ size: 4, offset: 0 });
  expect((await api.call('GET', path)).body).toMatchObject({ offset: 0 });
  expect((await api.call('DELETE', path)).status).toBe(204);
  expect((await api.call('GET', path)).status).toBe(404);
});

it('says of a box without releases that it has none', async () => {
  delete api.app.croft.context.port.updates;
  expect(await api.call('GET', '/v1/node/update')).toMatchObject({
    status: 200,
    body: { slots: [], refusal: expect.stringContaining('medium') },
  });
  expect((await api.call('POST', '/v1/node/update/upload', { body: { size: 4 } })).status).toBe(409);
});
