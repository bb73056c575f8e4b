/**
 * The machine's own NIC as uplink: its addresses and routes go on the switch with it and come back, while a connection
 * stays open. The machine is a network namespace, its NIC one end of a cable; the other end is the world.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from '../../appliance/host/exec.ts';
import { createBox, type TestBox } from '../helpers/box.ts';
import { eventually } from '../helpers/eventually.ts';

let box: TestBox;
let world: string;
const children: ChildProcess[] = [];
const [mine, theirs] = ['192.0.2.2', '192.0.2.1'];
const beyond = '198.51.100.7';

const echo = `require('net').createServer((s) => { s.on('error', () => {}); s.pipe(s); }).listen(7, '${mine}', () => console.log('ready'))`;
/** An echo each 50 ms on one connection; prints the longest silence, ms, when told to end. */
const client = `
const socket = require('net').connect(7, '${mine}', () => console.log('ready'));
let last = Date.now(), longest = 0, sent = 0, got = 0;
socket.on('data', (b) => { got += b.length; longest = Math.max(longest, Date.now() - last); last = Date.now(); });
socket.on('error', (e) => { console.log('lost ' + e.message); process.exit(1); });
setInterval(() => { sent++; socket.write('x'); }, 50);
process.stdin.on('data', () => { longest = Math.max(longest, Date.now() - last); console.log(JSON.stringify({ longest, sent, got })); longest = 0; });
`;

async function inside(namespace: string, script: string): Promise<ChildProcess> {
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return child;
}

const links = async () => {
  const { stdout } = await box.inside(['ip', '-j', 'address']);
  const all = JSON.parse(stdout) as { ifname: string; addr_info: { local: string; scope: string }[] }[];
  const global = (name: string) =>
    (all.find(({ ifname }) => ifname === name)?.addr_info ?? [])
      .filter(({ scope }) => scope === 'global')
      .map(({ local }) => local);
  const port = all.find(({ ifname }) => ifname.startsWith('cm'))?.ifname;
  return { nic: global('eth0').toSorted(), port: port === undefined ? undefined : global(port).toSorted() };
};
/** The machine's own, wherever they lead out. */
const routes = async () =>
  (await box.inside(['ip', 'route', 'show', 'table', 'main'])).stdout
    .split('\n')
    .filter((route) => !route.includes('dev cn'))
    .map((route) => route.replace(/ dev \S+/, '').trim());
const here = [mine, '2001:db8::2'];
const reaches = (address: string) => box.inside(['busybox', 'ping', '-c', '1', '-W', '2', address]);

beforeAll(async () => {
  box = await createBox();
  world = `croft-w${box.namespace.slice(-5)}`;
  await run(['ip', 'netns', 'add', world]);
  await run(['ip', '-n', world, 'link', 'add', 'w0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', box.namespace]);
  const ip = (where: string, ...words: string[]) => run(['ip', '-n', where, ...words]);
  for (const [where, link, v4, v6] of [
    [world, 'w0', theirs, '2001:db8::1'],
    [box.namespace, 'eth0', mine, '2001:db8::2'],
  ] as const) {
    await ip(where, 'address', 'add', `${v4}/24`, 'dev', link);
    await ip(where, 'address', 'add', `${v6}/64`, 'dev', link, 'nodad');
    await ip(where, 'link', 'set', link, 'up');
  }
  // As on a wire: between virtual devices sums are left out, and the userspace datapath doesn't add them.
  await run(['ip', 'netns', 'exec', world, 'ethtool', '-K', 'w0', 'tx', 'off']);
  await ip(world, 'address', 'add', `${beyond}/32`, 'dev', 'lo');
  await ip(world, 'link', 'set', 'lo', 'up');
  await ip(box.namespace, 'route', 'add', 'default', 'via', theirs, 'proto', 'static', 'metric', '50');
  await ip(box.namespace, '-6', 'route', 'add', 'default', 'via', '2001:db8::1');
  await box.start();
  await inside(box.namespace, echo);
}, 120_000);

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await box?.dispose();
  if (world) await run(['ip', 'netns', 'delete', world]);
}, 60_000);

it('is refused without a word, and moves with one, under an open connection', { timeout: 120_000 }, async () => {
  const before = await routes();
  await box.croft(['uplink', 'create', 'plain', '--nic', 'eth0']);
  await eventually(async () => {
    expect((await box.croft(['uplink', 'show', 'plain', '-o', 'json'])).stdout).toContain('eth0 has the address');
  });
  await box.croft(['uplink', 'delete', 'plain', '--yes']);
  const talk = await inside(world, client);
  const said = async (): Promise<{ longest: number; sent: number; got: number }> => {
    const answer = once(talk.stdout as NodeJS.ReadableStream, 'data');
    talk.stdin?.write('?');
    return JSON.parse(String((await answer)[0])) as { longest: number; sent: number; got: number };
  };
  const made = await box.croft(['uplink', 'create', 'lan', '--nic', 'eth0', '--move-addresses']);
  expect(made.stderr).toMatch(/undone in 1(19|20) s unless you confirm it: croft uplink confirm lan/);
  await eventually(async () => expect(await links()).toEqual({ nic: [], port: here }), { timeout: 20_000 });
  for (const address of [theirs, beyond, '2001:db8::1']) await eventually(() => reaches(address));
  expect(await routes()).toEqual(before);
  await eventually(async () => expect((await said()).longest).toBeLessThan(1_000), { timeout: 20_000, interval: 500 });
  await box.croft(['uplink', 'confirm', 'lan']);

  // A new service finds it as it is; what somebody gives the NIC meanwhile is moved too.
  await box.kill();
  await box.inside(['ip', 'address', 'add', '192.0.2.3/24', 'dev', 'eth0']);
  await box.start();
  await eventually(async () => expect(await links()).toEqual({ nic: [], port: [...here, '192.0.2.3'].toSorted() }), {
    timeout: 20_000,
  });
  await eventually(() => reaches(beyond));

  await said();
  await box.croft(['uplink', 'delete', 'lan', '--yes']);
  await eventually(async () => expect(await links()).toEqual({ nic: [...here, '192.0.2.3'].toSorted(), port: undefined }), {
    timeout: 20_000,
  });
  await box.inside(['ip', 'address', 'delete', '192.0.2.3/24', 'dev', 'eth0']);
  for (const address of [theirs, beyond, '2001:db8::1']) await eventually(() => reaches(address));
  expect(await routes()).toEqual(before);
  const { longest, sent, got } = await said();
  console.log(`the connection lived through moving there, a killed service and moving back: ${longest} ms silent at most`);
  expect(got).toBeGreaterThan(sent - 200);
});

it('comes back by itself unless confirmed, and with the uninstallation', { timeout: 120_000 }, async () => {
  await box.croft(['uplink', 'create', 'lan', '--nic', 'eth0', '--move-addresses', '--confirm-within', '10']);
  await eventually(async () => expect(await links()).toEqual({ nic: [], port: here }), { timeout: 8_000 });
  await eventually(async () => expect(await links()).toEqual({ nic: here, port: undefined }), { timeout: 30_000 });
  await eventually(() => reaches(beyond));
  const before = await routes();
  await box.croft(['uplink', 'create', 'lan', '--nic', 'eth0', '--move-addresses']);
  await eventually(async () => expect(await links()).toEqual({ nic: [], port: here }), { timeout: 20_000 });
  await box.croft(['uninstall', '--force']);
  expect(await links()).toEqual({ nic: here, port: undefined });
  expect(await routes()).toEqual(before);
  await eventually(() => reaches('2001:db8::1'));
  expect((await box.inside(['nft', 'list', 'tables'])).stdout).toBe('');
});
