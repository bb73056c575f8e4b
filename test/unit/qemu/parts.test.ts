import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../../appliance/host/exec.ts';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { guestOfArgv } from '../../../appliance/qemu/adopt.ts';
import { GuestAgent } from '../../../appliance/qemu/agent.ts';
import { chooseAccelerator } from '../../../appliance/qemu/probe.ts';
import { probeDisk } from '../../../appliance/qemu/probe-image.ts';
import { holdProcess, lastWords, waitGone } from '../../../appliance/qemu/process.ts';
import { parseMachine, parseVersion } from '../../../appliance/qemu/qemu-info.ts';
import { checkSocket, checkSocketPaths } from '../../../appliance/qemu/run-dir.ts';
import { exitOf, runStateOf } from '../../../appliance/qemu/run-state.ts';
import { SerialHub } from '../../../appliance/qemu/serial-hub.ts';
import { eventually } from '../../helpers/eventually.ts';
import { countingGuestDisk, tinyGuestDisk } from '../../helpers/tiny-guest.ts';

let directory: string;
let server: Server | undefined;
const sockets = new Set<Socket>();

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'croft-qu-'));
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
  await rm(directory, { recursive: true, force: true });
});

async function serve(onSocket: (socket: Socket) => void): Promise<string> {
  const path = join(directory, 's');
  await new Promise<void>((resolve) => {
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      onSocket(socket);
    }).listen(path, resolve);
  });
  return path;
}

describe('run state and exit', () => {
  test('states', () => {
    expect(
      ['running', 'paused', 'prelaunch', 'guest-panicked', 'shutdown', 'internal-error', 'io-error'].map(runStateOf),
    ).toEqual(['running', 'paused', 'paused', 'panicked', 'shutdown', 'panicked', 'io-error']);
  });

  test('a process that is gone: what was read, what was asked, else a crash', () => {
    expect(exitOf({ state: 'shutdown', killing: true })).toBe('shutdown');
    expect(exitOf({ state: 'panicked', killing: false })).toBe('panicked');
    expect(exitOf({ state: 'running', killing: true })).toBe('killed');
    expect(exitOf({ state: 'running', killing: false, shutdownReason: 'host-signal' })).toBe('killed');
    expect(exitOf({ state: 'running', killing: false, shutdownReason: 'guest-reset' })).toBe('crashed');
    expect(exitOf({ state: 'running', killing: false })).toBe('crashed');
  });
});

describe('a held process', () => {
  test('becomes the program when released, with the pid that was recorded', async () => {
    const log = join(directory, 'log');
    const held = await holdProcess({ argv: ['/bin/sh', '-c', 'echo "pid $$"'], log });
    expect(await readFile(log, 'utf8')).toBe('');
    held.release();
    expect(await waitGone(held.identity, 5_000)).toBe(true);
    expect(await readFile(log, 'utf8')).toBe(`pid ${held.identity.pid}\n`);
  });

  test('ends when it is not released, and its last words are found', async () => {
    const log = join(directory, 'log');
    const held = await holdProcess({ argv: ['/bin/sleep', '60'], log });
    held.abort();
    expect(await waitGone(held.identity, 5_000)).toBe(true);
    await writeFile(log, '2026-01-01T00:00:00.123456Z qemu-system-x86_64: -device x: not a valid device\n\n');
    expect(await lastWords(log)).toBe('-device x: not a valid device');
  });
});

describe('guestOfArgv', () => {
  const argv = ['qemu-system-x86_64', '-uuid', 'u1', '-chardev', 'socket,id=control,path=/run/croft/vms/u1/io/control.sock'];
  test('knows guests of this box only', () => {
    expect(guestOfArgv(argv, '/run/croft/vms')).toBe('u1');
    expect(guestOfArgv(['/bin/sh', '-c', 'read go', 'sh', ...argv], '/run/croft/vms')).toBe('u1');
    expect(guestOfArgv(argv, '/run/other/vms')).toBeUndefined();
    expect(guestOfArgv(['cat', ...argv.slice(1)], '/run/croft/vms')).toBeUndefined();
    expect(guestOfArgv([], '/run/croft/vms')).toBeUndefined();
  });
});

describe('run directory', () => {
  test('a symbolic link is no channel; too long paths are refused', async () => {
    const path = await serve(() => undefined);
    await checkSocket(path, undefined);
    const link = join(directory, 'link');
    await symlink(path, link);
    await expect(checkSocket(link, undefined)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(checkSocket(path, 12345)).rejects.toMatchObject({ code: 'unavailable' });
    expect(() => checkSocketPaths(`/${'x'.repeat(60)}`)).toThrow(/CROFT_RUN/);
  });
});

describe('QEMU’s own description', () => {
  test('version and newest machine', () => {
    expect(parseVersion('QEMU emulator version 7.2.22 (Debian 1:7.2)\nCopyright')).toBe('7.2.22');
    expect(parseMachine('pc x\nq35                  Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-7.2)\n')).toBe('pc-q35-7.2');
    expect(() => parseMachine('none')).toThrow(/q35/);
  });
});

describe('the guest agent', () => {
  /** An agent that first says leftovers of an older exchange. */
  const agent = (answers: Record<string, unknown>) => (socket: Socket) => {
    socket.write('{"return": 1}\n');
    socket.on('data', (chunk: Buffer) => {
      for (const line of chunk.toString('latin1').replaceAll('\xff', '').split('\n').filter(Boolean)) {
        const { execute, arguments: args } = JSON.parse(line) as { execute: string; arguments?: { id: number } };
        if (execute === 'guest-sync-delimited')
          socket.write(Buffer.concat([Buffer.from([0xff]), Buffer.from(`{"return": ${args?.id}}\n`)]));
        else if (execute in answers) socket.write(`${JSON.stringify({ return: answers[execute] })}\n`);
        else socket.write(`${JSON.stringify({ error: { class: 'CommandNotFound', desc: 'no such command' } })}\n`);
      }
    });
  };

  test('tells addresses; what it does not know is left out', async () => {
    const interfaces = [
      { name: 'eth0', 'hardware-address': '52:54:00:AA:00:01', 'ip-addresses': [{ 'ip-address': '192.0.2.7', prefix: 24 }, 5] },
      'nonsense',
    ];
    const path = await serve(agent({ 'guest-network-get-interfaces': interfaces, 'guest-get-host-name': { 'host-name': 'a1' } }));
    expect(await new GuestAgent(path).info()).toEqual({
      hostname: 'a1',
      os: undefined,
      interfaces: [{ name: 'eth0', mac: '52:54:00:aa:00:01', addresses: ['192.0.2.7'] }],
    });
  });

  test('a silent one meets the deadline, an error is passed on, a closed one is told', async () => {
    const path = await serve(agent({}));
    await expect(new GuestAgent(path).call('x')).rejects.toMatchObject({
      code: 'qmp-failed',
      message: expect.stringContaining('no such command'),
    });
    await expect(new GuestAgent(join(directory, 'none')).call('x')).rejects.toMatchObject({ code: 'unavailable' });
    await new Promise((resolve) => server?.close(resolve) && sockets.forEach((socket) => socket.destroy()));
    const silent = await serve(() => undefined);
    await expect(new GuestAgent(silent).call('x', undefined, 30)).rejects.toMatchObject({ code: 'command-timeout' });
  });
});

describe('the serial hub', () => {
  test('fans out, replays the end to late readers, takes input, and bounds its log', async () => {
    let typed = '';
    let guest: Socket | undefined;
    const path = await serve((socket) => {
      guest = socket;
      socket.on('data', (chunk: Buffer) => (typed += String(chunk)));
    });
    const logFile = join(directory, 'serial.log');
    const hub = await SerialHub.connect(path, logFile, silentLogger());
    await eventually(() => guest !== undefined);
    const text = ['', ''];
    hub.open().on('data', (chunk: Buffer) => (text[0] += String(chunk)));
    guest?.write('login: ');
    await eventually(() => text[0] === 'login: ');
    const late = hub.open();
    late.on('data', (chunk: Buffer) => (text[1] += String(chunk)));
    await eventually(() => text[1] === 'login: ');
    late.write('root\n');
    await eventually(() => typed === 'root\n');
    late.destroy();

    const block = Buffer.alloc(64 * 1024, 'x');
    for (let count = 0; count < 40; count++) await new Promise((resolve) => guest?.write(block, resolve));
    await eventually(() => text[0]?.length === 7 + 40 * block.length);
    await eventually(async () => (await stat(`${logFile}.1`)).size > 0);
    const sizes = await Promise.all(
      [logFile, `${logFile}.1`].map(async (file) => (await stat(file).catch(() => undefined))?.size ?? 0),
    );
    expect((sizes[0] as number) + (sizes[1] as number)).toBeLessThan(1024 * 1024 + 256 * 1024);

    const ended = hub.open();
    ended.resume();
    const end = new Promise((resolve) => ended.once('end', resolve));
    guest?.destroy();
    await end;
    expect(hub.closed).toBe(true);
  });
});

describe('the accelerator', () => {
  const options = () => ({ binary: '/nowhere/qemu', qemuVersion: '7.2', dataDir: directory, logger: silentLogger() });

  test('without the device: emulated, and it says so', async () => {
    expect(await chooseAccelerator({ ...options(), device: join(directory, 'kvm') })).toEqual({
      name: 'tcg',
      reason: `there is no ${join(directory, 'kvm')}`,
    });
  });

  test('a probe that fails means emulated; the verdict is kept per kernel and QEMU', async () => {
    const device = join(directory, 'kvm');
    await writeFile(device, '', { mode: 0o666 });
    await run(['chmod', '666', device]);
    const verdict = await chooseAccelerator({ ...options(), device });
    expect(verdict.name).toBe('tcg');
    const file = join(directory, 'accelerator.json');
    const kept = JSON.parse(await readFile(file, 'utf8')) as { key: string };
    await writeFile(file, JSON.stringify({ ...kept, name: 'kvm', reason: 'kept' }));
    expect(await chooseAccelerator({ ...options(), device })).toEqual({ name: 'kvm', reason: 'kept' });
    expect((await chooseAccelerator({ ...options(), device, qemuVersion: '8.0' })).name).toBe('tcg');
  });
});

describe('boot sectors', () => {
  test.each([
    ['appliance/qemu/probe.S', 'elf_x86_64', '--64', probeDisk],
    ['test/helpers/tiny-guest.S', 'elf_i386', '--32', tinyGuestDisk],
    ['test/helpers/counting-guest.S', 'elf_i386', '--32', countingGuestDisk],
  ] as const)('%s is what was assembled', async (source, emulation, bits, disk) => {
    const object = join(directory, 'o');
    const binary = join(directory, 'b');
    try {
      await run(['as', bits, '-o', object, source]);
    } catch {
      return; // No binutils here; the build machine checks it.
    }
    await run(['ld', '-m', emulation, '-Ttext=0x7c00', '--oformat=binary', '-o', binary, object]);
    expect(Buffer.compare(await readFile(binary), disk().subarray(0, 512))).toBe(0);
  });
});
