/**
 * `croft pxe serve` with dnsmasq on a link between two network namespaces: what BIOS, UEFI and iPXE are told to start,
 * by DHCP, TFTP and HTTP. A whole installation this way is test/iso/pxe.test.ts.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run } from '../../appliance/host/exec.ts';
import { eventually } from '../helpers/eventually.ts';

const home = join(import.meta.dirname, '../..');
const [ours, theirs] = [`croft-pxe-${process.pid}a`, `croft-pxe-${process.pid}b`];
const release = { name: 'croft', version: '1.2.3', variant: 'mini', epoch: 1, slotSize: 1, minimumDisk: 1, minimumMemory: 1 };
/** udhcpc's script: says what it was given. */
const script = '#!/bin/sh\n[ "$1" = bound ] && ip addr replace "$ip/24" dev "$interface"\nexit 0\n';

let directory: string;
let server: ChildProcess;
let said: string;

const inside = (namespace: string, ...argv: string[]) => run(['ip', 'netns', 'exec', namespace, ...argv], { okCodes: [0, 1] });

beforeEach(async () => {
  said = '';
  directory = await mkdtemp(join(tmpdir(), 'croft-pxe-'));
  await chmod(directory, 0o755); // dnsmasq gives up root before it reads.
  for (const folder of ['answers', 'loaders', 'medium/croft']) await mkdir(join(directory, folder), { recursive: true });
  await writeFile(join(directory, 'medium/croft/release'), JSON.stringify(release));
  await writeFile(join(directory, 'answers/default.yaml'), 'version: 1\nhostname: box2\nsystemDisk: auto\n');
  for (const name of ['undionly.kpxe', 'snponly.efi']) await writeFile(join(directory, 'loaders', name), name);
  await writeFile(join(directory, 'udhcpc'), script, { mode: 0o755 });
  for (const words of [
    ['netns', 'add', ours],
    ['netns', 'add', theirs],
    ['link', 'add', 'pxa', 'netns', ours, 'type', 'veth', 'peer', 'name', 'pxb', 'netns', theirs],
    ['-n', ours, 'addr', 'add', '192.0.2.1/24', 'dev', 'pxa'],
    ['-n', ours, 'link', 'set', 'lo', 'up'],
    ['-n', ours, 'link', 'set', 'pxa', 'up'],
    ['-n', theirs, 'link', 'set', 'pxb', 'up'],
  ]) {
    await run(['ip', ...words]);
  }
});

afterEach(async () => {
  if (server.exitCode === null) {
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGTERM');
    await ended;
  }
  for (const namespace of [ours, theirs]) await run(['ip', 'netns', 'delete', namespace]);
  await rm(directory, { recursive: true, force: true });
});

async function serve(...more: string[]): Promise<void> {
  const places = ['answers', 'medium', 'loaders'].flatMap((name) => [`--${name}`, join(directory, name)]);
  const command = [process.execPath, join(home, 'appliance/main.ts'), 'pxe', 'serve', '--interface', 'pxa', ...places, ...more];
  server = spawn('ip', ['netns', 'exec', ours, ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [server.stdout, server.stderr]) stream?.on('data', (chunk) => (said += String(chunk)));
  await eventually(
    () => {
      if (!said.includes('Croft 1.2.3 for machines on pxa')) throw new Error(`croft pxe serve says: ${said}`);
    },
    { timeout: 30_000 },
  );
}

/** What a client with these DHCP options is told to start. */
async function bootFile(...options: string[]): Promise<string> {
  const log = join(directory, 'boot-file');
  await writeFile(join(directory, 'udhcpc'), `${script.replace('exit 0', `echo "$boot_file$bootfile" >${log}\nexit 0`)}`);
  const ask = ['busybox', 'udhcpc', '-i', 'pxb', '-n', '-q', '-f', '-t', '10', '-T', '1'];
  await inside(theirs, ...ask, '-s', join(directory, 'udhcpc'), '-O', 'bootfile', ...options);
  return (await run(['cat', log])).stdout.trim();
}

test('each kind of firmware is told its loader, iPXE the address of the scripts', async () => {
  await serve('--range', '192.0.2.50-192.0.2.59');
  expect(await bootFile('-x', '0x5d:0000')).toBe('undionly.kpxe');
  expect(await bootFile('-x', '0x5d:0007')).toBe('snponly.efi');
  expect(await bootFile('-x', '0x5d:0007', '-x', '175:01')).toBe('http://192.0.2.1:8441/boot.ipxe');
  const got = join(directory, 'got');
  await inside(theirs, 'busybox', 'tftp', '-g', '-r', 'snponly.efi', '-l', got, '192.0.2.1');
  expect((await run(['cat', got])).stdout).toBe('snponly.efi');
  const first = await inside(theirs, 'busybox', 'wget', '-qO-', 'http://192.0.2.1:8441/boot.ipxe');
  expect(first.stdout).toContain('/machine/${mac:hexhyp}.ipxe || exit');
});

test('beside another DHCP server it gives no address, and says only what to start', async () => {
  await serve();
  const ask = ['busybox', 'udhcpc', '-i', 'pxb', '-n', '-q', '-f', '-t', '2', '-T', '1', '-s', join(directory, 'udhcpc')];
  const { stdout, stderr } = await inside(theirs, ...ask, '-V', 'PXEClient:Arch:00007:UNDI:003016', '-x', '0x5d:0007');
  expect(stdout + stderr).toContain('no lease');
  await eventually(() => expect(said).toMatch(/PXE\(pxa\) .* proxy/));
});
