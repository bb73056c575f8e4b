import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { image, network } from '../../appliance/resources/croft-kinds.ts';
import { virtualMachine } from '../../appliance/resources/virtual-machine.ts';
import { editStatus } from '../../appliance/store/edit.ts';
import { parseServerEvents, type ServerEvent } from '../../ui-api/client/server-events.ts';
import { startApi, type Harness } from './harness.ts';

let api: Harness;
beforeAll(async () => {
  api = await startApi();
  await api.store.create(image, { metadata: { name: 'tiny' }, spec: { source: { build: 'tiny' } } });
});
afterAll(() => api.stop());

/** Opens the stream and gives its events one by one. */
async function openStream(path: string, lastEventId?: string) {
  const ending = new AbortController();
  const answer = await fetch(api.base + path, {
    signal: ending.signal,
    headers: { authorization: `Bearer ${api.tokens.viewer}`, ...(lastEventId ? { 'last-event-id': lastEventId } : {}) },
  });
  expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  const events = parseServerEvents(answer.body as unknown as AsyncIterable<Uint8Array>);
  return {
    next: async (): Promise<ServerEvent & { json: Record<string, unknown> }> => {
      const { value } = await events.next();
      const event = value as ServerEvent;
      return { ...event, json: JSON.parse(event.data) as Record<string, unknown> };
    },
    end: () => ending.abort(),
  };
}

const record = (message: string) =>
  api.box.events.record({
    type: 'Normal',
    reason: 'Test',
    message,
    about: { kind: 'VirtualMachine', name: 'x', project: 'default' },
  });

describe('/v1/events', () => {
  it('streams events, tasks and changes; resumes after the last id; resets on an unknown one', async () => {
    const live = await openStream('/v1/events?types=event,task,network');
    record('first');
    const first = await live.next();
    expect(first).toMatchObject({ event: 'event', json: { message: 'first', about: { name: 'x' } } });
    expect(first.id).toMatch(/^[0-9a-f]{8}-\d+$/);
    await api.store.create(network, { metadata: { name: 'seen' }, spec: { vlan: 7 } });
    expect(await live.next()).toMatchObject({ event: 'network', json: { kind: 'network', name: 'seen', type: 'added' } });
    await api.box.tasks.run({ verb: 'image.build', target: { kind: 'image', name: 'tiny' } }, async () => undefined);
    expect(await live.next()).toMatchObject({ event: 'task', json: { verb: 'image.build', state: 'running' } });
    live.end();
    record('missed');

    const resumed = await openStream('/v1/events?types=event', first.id);
    expect(await resumed.next()).toMatchObject({ event: 'event', json: { message: 'missed' } });
    resumed.end();

    for (const unknown of ['ffffffff-1', 'nonsense', `${first.id?.split('-')[0]}-999999`]) {
      const lost = await openStream('/v1/events?types=event', unknown);
      expect((await lost.next()).event).toBe('reset');
      record(`after ${unknown}`);
      expect(await lost.next()).toMatchObject({ json: { message: `after ${unknown}` } });
      lost.end();
    }
  });

  it('lists', async () => {
    const { body } = await api.call<{ items: { message: string }[] }>('GET', '/v1/events?list=true&limit=1');
    expect(body.items).toEqual([expect.objectContaining({ kind: 'event', message: expect.stringContaining('after') })]);
  });

  it('waits for a task with Prefer: wait', async () => {
    let finish = (): void => undefined;
    const work = api.box.tasks.run({ verb: 'image.build', target: { kind: 'image', name: 'tiny' } }, async ({ progress }) => {
      progress(0.5, 'packing');
      await new Promise<void>((resolve) => (finish = resolve));
    });
    const id = api.box.tasks.list({ state: 'running' })[0]?.id as string;
    expect((await api.call('GET', `/v1/tasks/${id}`)).body).toMatchObject({ state: 'running', progress: 0.5, step: 'packing' });
    const waiting = api.call('GET', `/v1/tasks/${id}`, { headers: { prefer: 'wait=20' } });
    await new Promise((resolve) => setImmediate(resolve));
    finish();
    await work;
    expect((await waiting).body).toMatchObject({ state: 'succeeded' });
    expect(await api.call('POST', `/v1/tasks/${id}/cancel`)).toMatchObject({ status: 409 });
    expect((await api.call('GET', '/v1/tasks/none')).status).toBe(404);
  });
});

describe('the console', () => {
  const connect = (path: string) =>
    new Promise<{ socket: WebSocket; status: number }>((resolve, reject) => {
      const socket = new WebSocket(api.base.replace('http', 'ws') + path);
      socket.once('open', () => resolve({ socket, status: 101 }));
      socket.once('unexpected-response', (_request, answer) => {
        resolve({ socket, status: answer.statusCode ?? 0 });
        answer.resume();
      });
      socket.on('error', reject);
    });
  const ticket = async (as: 'viewer' | 'operator' = 'operator') =>
    api.call('POST', '/v1/vms/c1/console-tickets', { body: { kind: 'serial' }, as });

  it('opens once per ticket, relays bytes both ways, and only while the guest runs', async () => {
    await api.call('POST', '/v1/vms', { body: { name: 'c1', image: 'tiny', size: 'tiny' } });
    expect(await ticket()).toMatchObject({ status: 409, body: { code: 'invalid-state' } });
    await editStatus(api.store, virtualMachine, { name: 'c1', namespace: 'default' }, (draft) => {
      draft.status = { printableStatus: 'Running' };
    });
    expect((await ticket('viewer')).status).toBe(403);
    const given = await ticket();
    expect(given).toMatchObject({ status: 201, body: { url: expect.stringMatching(/^\/v1\/console\?ticket=[\w-]{43}$/) } });
    const { socket, status } = await connect(String(given.body.url));
    expect(status).toBe(101);
    const bytes = Buffer.from([0, 255, 13, 10, 1]);
    const echoed = new Promise((resolve) => socket.once('message', (data, isBinary) => resolve([data, isBinary])));
    socket.send(bytes);
    expect(await echoed).toEqual([bytes, true]);
    expect((await connect(String(given.body.url))).status).toBe(401);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    api.calls.consoles[0]?.push(null);
    expect(await closed).toBe(1000);

    const late = await ticket();
    api.calls.running = false;
    expect((await connect(String(late.body.url))).status).toBe(409);
    api.calls.running = true;
    expect((await api.call('GET', '/v1/console?ticket=x', { as: 'none' })).status).toBe(400);
  });
});
