/**
 * A machine that starts over the network is installed by `croft pxe serve`, and then starts from its disk although
 * its firmware tries the network first. In a network namespace: nothing reaches a real network. QEMU's own ROM is
 * iPXE already, so the first step of other firmware (iPXE by TFTP) is not seen here.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../appliance/config.ts';
import { run } from '../../appliance/host/exec.ts';
import { buildImage } from '../../installer/iso/build.ts';
import { eventually } from '../helpers/eventually.ts';
import { makeDisk, readBootState } from './disk-image.ts';
import { Machine, scratchDirectory } from './machine.ts';

const home = join(import.meta.dirname, '../..');
const cache = join(loadConfig().cache, 'iso');
const namespace = `croft-pxe-${process.pid}`;
const mac = '52:54:00:12:34:56';
const address = '192.0.2.1';
/** Seconds of processor time; a fifth of them is used. */
const patience = { kernel: 200, userspace: 400, step: 200 };
const print = (line: string): void => void process.stdout.write(`${line}\n`);

let scratch: string;
let machine: Machine | undefined;
let server: ChildProcess | undefined;
let said = '';

beforeAll(async () => {
  const image = await buildImage({ variant: 'mini', home, cache, print });
  scratch = await scratchDirectory(cache);
  await run(['mkdir', '-p', join(cache, 'logs')]);
  const [medium, answers, loaders] = ['medium', 'answers', 'loaders'].map((name) => join(scratch, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of [answers, loaders]) await mkdir(folder);
  await run(['xorriso', '-osirrox', 'on', '-indev', image.iso, '-extract', '/', medium], { timeout: 120_000 });
  const text = 'version: 1\nhostname: box2\nsystemDisk: auto\n';
  await writeFile(join(answers, `${mac.replaceAll(':', '-')}.yaml`), text);
  for (const name of ['undionly.kpxe', 'snponly.efi']) await writeFile(join(loaders, name), '');

  await run(['ip', 'netns', 'add', namespace]);
  for (const words of [
    ['link', 'set', 'lo', 'up'],
    ['tuntap', 'add', 'tap0', 'mode', 'tap'],
    ['addr', 'add', `${address}/24`, 'dev', 'tap0'],
    ['link', 'set', 'tap0', 'up'],
  ]) {
    await run(['ip', '-n', namespace, ...words]);
  }
  const argv = ['pxe', 'serve', '--interface', 'tap0', '--range', '192.0.2.50-192.0.2.59'];
  const places = ['--answers', answers, '--medium', medium, '--loaders', loaders];
  const command = [process.execPath, join(home, 'appliance/main.ts'), ...argv, ...places];
  server = spawn('ip', ['netns', 'exec', namespace, ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [server.stdout, server.stderr]) stream?.on('data', (chunk) => (said += String(chunk)));
  await eventually(
    () => {
      if (!said.includes('Ctrl-C ends it')) throw new Error(`croft pxe serve says: ${said}`);
    },
    { timeout: 60_000 },
  );
});

afterAll(async () => {
  await machine?.dispose();
  if (server && server.exitCode === null) {
    const ended = new Promise((resolve) => server?.once('exit', resolve));
    server.kill('SIGTERM');
    await ended;
  }
  await run(['ip', 'netns', 'delete', namespace], { okCodes: [0, 1] });
  if (scratch) await rm(scratch, { recursive: true, force: true });
});

test('a machine is installed over the network, once', async () => {
  const disk = join(scratch, 'disk.raw');
  await makeDisk(disk, 4 * 2 ** 30);
  const network = { namespace, tap: 'tap0', mac };
  machine = new Machine({ firmware: 'bios', disk, network, log: join(cache, 'logs', 'pxe.log') });
  await machine.start();
  try {
    await machine.expect(/Command line: .* croft\.install/, patience.kernel);
    await machine.expect(/croft-install: Croft .*machine\/52-54-00-12-34-56\.yaml/, patience.userspace);
    await machine.expect(/\] Done/, patience.step);
    print(`installed over the network after ${machine.age.toFixed(0)} s`);
    expect((await machine.expect(/croft-boot: slot=([AB]) /, patience.step))[1]).toBe('A');
    await machine.expect(/systemd\.hostname=box2/, patience.kernel);
  } catch (error) {
    throw new Error(`${(error as Error).message}\n--- croft pxe serve\n${said}`, { cause: error });
  }
  await machine.cut();
  expect(said).toContain('52-54-00-12-34-56 is installed');
  expect(await readBootState(disk)).toMatchObject({ good: 'A', slots: { A: { tries: 1 } } });
});
