import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { QmpClient, type QmpEvent } from '../../../appliance/qemu/qmp.ts';

const greeting = `${JSON.stringify({ QMP: { version: {}, capabilities: [] } })}\r\n`;
type Command = { execute: string; id: number; arguments?: Record<string, unknown> };

describe('QmpClient', () => {
  let directory: string;
  let path: string;
  let server: Server;
  const sockets = new Set<Socket>();

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'croft-qmp-'));
    path = join(directory, 's');
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    await new Promise((resolve) => server.close(resolve));
    await rm(directory, { recursive: true, force: true });
  });

  /** A QEMU that greets and answers each command by `answer`; undefined: says nothing. */
  const serve = (answer: (command: Command, socket: Socket) => string | undefined, hello = greeting) =>
    new Promise<void>((resolve) => {
      server = createServer((socket) => {
        sockets.add(socket);
        socket.on('error', () => undefined);
        socket.write(hello);
        socket.on('data', (chunk: Buffer) => {
          for (const line of String(chunk).split('\n').filter(Boolean)) {
            const command = JSON.parse(line) as Command;
            const said = command.execute === 'qmp_capabilities' ? reply(command, {}) : answer(command, socket);
            if (said !== undefined) socket.write(said);
          }
        });
      }).listen(path, resolve);
    });
  const reply = ({ id }: Command, value: unknown) => `${JSON.stringify({ return: value, id })}\r\n`;

  test('matches replies by id, in whatever order and pieces they come', async () => {
    const waiting: Command[] = [];
    await serve((command, socket) => {
      waiting.push(command);
      if (waiting.length < 2) return undefined;
      const all = waiting
        .toReversed()
        .map((one) => reply(one, one.execute))
        .join('');
      socket.write(all.slice(0, 17));
      setTimeout(() => socket.write(all.slice(17)), 10);
      return undefined;
    });
    const client = await QmpClient.connect(path);
    expect(await Promise.all([client.execute('first'), client.execute('second')])).toEqual(['first', 'second']);
    client.close();
  });

  test('passes events on, and arguments', async () => {
    await serve(
      (command) => `${JSON.stringify({ event: 'STOP', data: { n: 1 }, timestamp: {} })}\r\n${reply(command, command.arguments)}`,
    );
    const events: QmpEvent[] = [];
    const client = await QmpClient.connect(path, { onEvent: (event) => events.push(event) });
    expect(await client.execute('stop', { a: 'ü' })).toEqual({ a: 'ü' });
    expect(events).toEqual([{ event: 'STOP', data: { n: 1 } }]);
    client.close();
  });

  test("an error carries QEMU's own words", async () => {
    await serve(({ id }) => `${JSON.stringify({ id, error: { class: 'GenericError', desc: 'Device not found' } })}\r\n`);
    const client = await QmpClient.connect(path);
    await expect(client.execute('device_del')).rejects.toMatchObject({
      code: 'qmp-failed',
      message: 'device_del: Device not found',
    });
    client.close();
  });

  test('a silent QEMU meets the deadline; a late reply is dropped; the next command works', async () => {
    let held: Command | undefined;
    await serve((command) => {
      if (command.execute === 'slow') held = command;
      return command.execute === 'slow' ? undefined : `${reply(held as Command, 'late')}${reply(command, 'now')}`;
    });
    const client = await QmpClient.connect(path);
    await expect(client.execute('slow', undefined, 30)).rejects.toMatchObject({ code: 'command-timeout' });
    expect(await client.execute('quick')).toBe('now');
    client.close();
  });

  test('a monitor that does not greet (it has a client already) is given up', async () => {
    await serve(() => undefined, '');
    await expect(QmpClient.connect(path, { timeout: 50 })).rejects.toMatchObject({ code: 'command-timeout' });
  });

  test('pending commands are rejected when QEMU goes, later ones too', async () => {
    await serve((_command, socket) => void socket.destroy());
    let closed = 0;
    const client = await QmpClient.connect(path, { onClose: () => closed++ });
    await expect(client.execute('quit')).rejects.toMatchObject({ code: 'qmp-failed' });
    await expect(client.execute('query-status')).rejects.toMatchObject({ code: 'qmp-failed' });
    client.close();
    expect(closed).toBe(1);
  });

  test('what is no JSON ends the connection', async () => {
    await serve(() => 'hello\n');
    const client = await QmpClient.connect(path);
    await expect(client.execute('x')).rejects.toMatchObject({ code: 'qmp-failed' });
    expect(client.closed).toBe(true);
  });

  test('nobody listens', async () => {
    await serve(() => undefined);
    await expect(QmpClient.connect(`${path}-no`)).rejects.toMatchObject({ code: 'qmp-failed' });
  });
});
