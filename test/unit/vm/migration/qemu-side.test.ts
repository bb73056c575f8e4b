/** What a migration asks of QEMU, against two real ones that stand still: TLS both ways, the pause before the switch, a cancel. */
import { mkdtemp, rm } from 'node:fs/promises';
import { spawn, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { QmpClient } from '../../../../appliance/qemu/qmp.ts';
import type { Guest } from '../../../../appliance/vm/hypervisor.ts';
import {
  cancelSending,
  goOn,
  listen,
  receivingState,
  send,
  sendingState,
  writeTls,
} from '../../../../appliance/vm/migration/qemu-side.ts';
import { selfSigned } from '../../../../appliance/host/self-signed.ts';
import { eventually } from '../../../helpers/eventually.ts';

const day = 24 * 3_600_000;
const pair = (name: string) =>
  selfSigned({
    commonName: name,
    names: [{ type: 'dns', value: name }],
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + day),
  });

let base: string;
const children: ChildProcess[] = [];
const clients: QmpClient[] = [];

async function qemu(name: string, ...more: string[]): Promise<Guest> {
  const path = join(base, `${name}.sock`);
  const argv = [
    '-machine',
    'pc,accel=tcg',
    '-m',
    '16',
    '-nodefaults',
    '-display',
    'none',
    '-S',
    '-qmp',
    `unix:${path},server=on,wait=off`,
  ];
  children.push(spawn('qemu-system-x86_64', [...argv, ...more], { stdio: 'ignore' }));
  const client = await eventually(() => QmpClient.connect(path), { timeout: 20_000 });
  clients.push(client);
  return { qmp: (command: string, args?: Record<string, unknown>) => client.execute(command, args) } as unknown as Guest;
}

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'croft-ms-'));
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(base, { recursive: true, force: true });
});

async function begin(trusted = true) {
  const source = await qemu('source');
  const target = await qemu('target', '-incoming', 'defer');
  const [client, server, stranger] = [pair('a'), pair('b'), pair('b')];
  const [clientDirectory, serverDirectory] = [join(base, 'client'), join(base, 'server')];
  await writeTls(serverDirectory, 'server', server, client.cert, undefined);
  await writeTls(clientDirectory, 'client', client, (trusted ? server : stranger).cert, undefined);
  expect(await receivingState(target)).toEqual({ running: false, incoming: 'listening' });
  const port = await listen(target, '127.0.0.1', serverDirectory);
  expect(await listen(target, '127.0.0.1', serverDirectory)).toBe(port);
  expect((await sendingState(source)).migration).toBe('none');
  await send(source, { address: '127.0.0.1', port, name: 'b', tlsDirectory: clientDirectory });
  return { source, target };
}
const untilSends = (source: Guest, migration: string) =>
  eventually(async () => expect(await sendingState(source)).toMatchObject({ migration }), { timeout: 20_000 });

it('stands still before the switch and goes over when told', { timeout: 60_000 }, async () => {
  const { source, target } = await begin();
  await untilSends(source, 'pre-switchover');
  expect((await receivingState(target)).incoming).toBe('active');
  await goOn(source);
  await untilSends(source, 'completed');
  await eventually(async () => expect(await receivingState(target)).toEqual({ running: false, incoming: 'completed' }));
});

it('takes the guest back in the pause', { timeout: 60_000 }, async () => {
  const { source } = await begin();
  await untilSends(source, 'pre-switchover');
  await cancelSending(source);
  await untilSends(source, 'cancelled');
});

it('sends nothing to a box that shows another certificate', { timeout: 60_000 }, async () => {
  const { source } = await begin(false);
  await untilSends(source, 'failed');
});
