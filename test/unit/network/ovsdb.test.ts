import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { coalesce } from '../../../network/coalesce.ts';
import { JsonStream } from '../../../network/ovs/json-stream.ts';
import { OvsdbClient } from '../../../network/ovs/ovsdb.ts';
import { eventually } from '../../helpers/eventually.ts';

describe('JsonStream', () => {
  it('finds the messages however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.object(), fc.array(fc.string({ unit: 'binary' })))),
        fc.integer({ min: 1, max: 7 }),
        (messages, size) => {
          const wire = Buffer.from(messages.map((each) => JSON.stringify(each)).join(''));
          const stream = new JsonStream();
          const found: unknown[] = [];
          for (let at = 0; at < wire.length; at += size) found.push(...stream.push(wire.subarray(at, at + size)));
          expect(found).toEqual(messages.map((each) => JSON.parse(JSON.stringify(each))));
        },
      ),
    );
  });

  it('refuses a message without end', () => {
    expect(() => new JsonStream(10).push(Buffer.from(`["${'x'.repeat(20)}`))).toThrow('longer than 10');
  });
});

type Call = { id: unknown; method: string; params: unknown[] };

describe('OvsdbClient', () => {
  const directory = mkdtempSync(join(tmpdir(), 'croft-o-'));
  const path = join(directory, 'db.sock');
  const calls: Call[] = [];
  let connections: Socket[] = [];
  let server: Server;
  let client: OvsdbClient;
  let answer: (call: Call, socket: Socket) => void;
  const reply = (socket: Socket, call: Call, result: unknown) =>
    socket.write(JSON.stringify({ id: call.id, result, error: null }));

  beforeEach(async () => {
    calls.length = 0;
    connections = [];
    answer = (call, socket) => reply(socket, call, call.method === 'monitor' ? { Bridge: { u1: { new: { name: 'a' } } } } : [{}]);
    server = createServer((socket) => {
      connections.push(socket);
      const stream = new JsonStream();
      socket.on('data', (chunk: Buffer) => {
        for (const call of stream.push(chunk) as Call[]) {
          calls.push(call);
          if (call.method !== undefined) answer(call, socket);
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    client = new OvsdbClient({ socket: path, monitor: { Bridge: ['name'] }, logger: silentLogger(), timeout: 300 });
  });

  afterEach(async () => {
    client.close();
    for (const socket of connections) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(path, { force: true });
  });

  it('keeps a copy of the rows, and follows updates', async () => {
    await client.open();
    expect([...client.rows('Bridge').values()]).toEqual([{ name: 'a' }]);
    const update = { Bridge: { u1: { old: { name: 'a' } }, u2: { new: { name: 'b' } } } };
    connections[0]?.write(JSON.stringify({ id: null, method: 'update', params: ['croft', update] }));
    await client.waitUntil(() => client.rows('Bridge').has('u2'), 'the update');
    expect(client.rows('Bridge').has('u1')).toBe(false);
  });

  it('answers echo', async () => {
    await client.open();
    connections[0]?.write(JSON.stringify({ id: 'echo', method: 'echo', params: [1] }));
    await eventually(() =>
      calls.some((call) => call.id === 'echo' && JSON.stringify((call as { result?: unknown }).result) === '[1]'),
    );
  });

  it('says what the database refused', async () => {
    await client.open();
    answer = (call, socket) => reply(socket, call, [null, { error: 'constraint violation', details: 'two of a name' }]);
    const operations = [{ op: 'wait' }, { op: 'insert', table: 'Port' }];
    await expect(client.transact(operations)).rejects.toThrow('OVSDB refused the transaction (insert Port): two of a name');
  });

  it('fails a call that is not answered, and connects anew', async () => {
    await client.open();
    answer = (call, socket) => (call.method === 'monitor' ? reply(socket, call, {}) : undefined);
    await expect(client.transact([{ op: 'wait' }])).rejects.toMatchObject({ code: 'unavailable' });
    await eventually(() => client.connected && connections.length === 2);
    expect(client.rows('Bridge').size).toBe(0);
  });

  it('fails waiting calls when the connection breaks, and comes back', async () => {
    await client.open();
    answer = (call, socket) => (call.method === 'monitor' ? reply(socket, call, {}) : socket.destroy());
    await expect(client.transact([{ op: 'wait' }])).rejects.toThrow('the connection closed');
    await eventually(() => client.connected);
    let told = 0;
    client.subscribe(() => told++);
    for (const socket of connections) socket.destroy();
    await eventually(() => told > 0);
  });

  it('drops a connection that does not speak JSON', async () => {
    await client.open();
    connections[0]?.write('{"id":}');
    await eventually(() => connections.length === 2 && client.connected);
  });

  it('says where nobody answers', async () => {
    const nowhere = new OvsdbClient({ socket: join(directory, 'none.sock'), monitor: {}, logger: silentLogger() });
    await expect(nowhere.open()).rejects.toThrow(/does not answer at .*none.sock/);
  });
});

describe('coalesce', () => {
  it('never overlaps, and gives each caller a run that began after its call', async () => {
    let running = 0;
    let runs = 0;
    const go = coalesce(async () => {
      expect(running++).toBe(0);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running--;
      return ++runs;
    });
    expect(await Promise.all([go(), go(), go()])).toEqual([1, 2, 2]);
    expect(await go()).toBe(3);
  });

  it('gives a failure to its own callers only', async () => {
    let runs = 0;
    const go = coalesce(async () => {
      if (++runs === 1) throw new Error('once');
    });
    const first = go();
    const second = go();
    await expect(first).rejects.toThrow('once');
    await second;
    expect(runs).toBe(2);
  });
});
