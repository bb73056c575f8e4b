/**
 * The full image once: unattended onto a blank disk, restarted from it, its API reached over the network, its
 * Kubernetes node Ready, a guest run inside it. Rare by its length: `CROFT_ISO_FULL=yes` asks for it.
 */
import { copyFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../appliance/config.ts';
import { run } from '../../appliance/host/exec.ts';
import { type BuiltImage, buildImage } from '../../installer/iso/build.ts';
import { customizeIso } from '../../installer/iso/customize.ts';
import { eventually } from '../helpers/eventually.ts';
import { Api, freePort } from './api.ts';
import { makeDisk, readBootState } from './disk-image.ts';
import { Machine, scratchDirectory } from './machine.ts';

const home = join(import.meta.dirname, '../..');
const cache = join(loadConfig().cache, 'iso');
const gibibyte = 2 ** 30;
const password = 'correct horse battery';
const answers = `version: 1\nhostname: box1\nsystemDisk: auto\nadministrator: {name: ada, password: ${password}}\nfinish: reboot\n`;
/** Seconds of processor time. */
const patience = { kernel: 300, userspace: 1_200, installation: 1_200, firstStart: 2_400 };
/** Milliseconds by the clock, for a busy machine. */
const longWait = 40 * 60_000;

const wanted = process.env.CROFT_ISO_FULL === 'yes';
const print = (line: string): void => void process.stdout.write(`${line}\n`);

let image: BuiltImage;
let scratch: string;
let machine: Machine | undefined;

beforeAll(async () => {
  if (!wanted) return;
  image = await buildImage({ variant: 'full', home, cache, print, compression: 3 });
  scratch = await scratchDirectory(cache);
  await run(['mkdir', '-p', join(cache, 'logs')]);
}, longWait);

afterAll(async () => {
  await machine?.dispose();
  if (scratch) await rm(scratch, { recursive: true, force: true });
});

test.runIf(wanted)('installs, serves its API over the network and runs a guest', { timeout: 3 * longWait }, async () => {
  const { size } = await stat(image.iso);
  print(`medium: ${(size / 1e6).toFixed(0)} MB`);
  expect(size).toBeLessThan(gibibyte);
  const medium = join(scratch, 'medium.iso');
  await copyFile(image.iso, medium);
  await customizeIso(medium, { answers, entry: 'install', timeout: 0 });
  const disk = join(scratch, 'disk.raw');
  await makeDisk(disk, 24 * gibibyte);

  const port = await freePort();
  machine = new Machine({
    firmware: 'bios',
    disk,
    cd: medium,
    memory: 4096,
    apiPort: port,
    log: join(cache, 'logs', 'full.log'),
  });
  await machine.start();
  await machine.expect(/croft-install: Croft/, patience.userspace);
  await machine.expect(/\[13\/13\] Done/, patience.installation);
  print(`installed after ${machine.age.toFixed(0)} s`);
  await machine.expect(/croft-boot: slot=A /, patience.userspace);
  const started = machine.age;
  const since = (): string => `${((machine?.age ?? 0) - started).toFixed(0)} s after GRUB`;

  const api = new Api(port);
  await eventually(async () => expect((await api.send('GET', '/readyz')).status).toBe(200), {
    timeout: longWait,
    interval: 2_000,
  });
  print(`API ready ${since()}`);
  await machine.expect(/croft-health: healthy.*/, patience.firstStart);
  await machine.expect(/croft-commit: slot A committed/, patience.userspace);
  print(`committed ${since()}`);

  await api.signIn('ada', password);
  print(`node: ${JSON.stringify(await api.must(200, 'GET', '/v1/node'))}`);
  await eventually(async () => expect(await api.must(200, 'GET', '/v1/images/tiny')).toMatchObject({ state: 'ready' }), {
    timeout: longWait,
    interval: 5_000,
  });
  await api.must(201, 'POST', '/v1/vms', { name: 'nested', image: 'tiny', cpus: 1, memory: '128Mi', network: 'default' }, 300);
  await eventually(
    async () => {
      const vm = await api.must(200, 'GET', '/v1/vms/nested');
      if ((vm.addresses as string[]).length === 0) throw new Error(`${JSON.stringify(vm.state)}: no address yet`);
      print(`guest: ${JSON.stringify(vm.addresses)}`);
    },
    { timeout: longWait, interval: 5_000 },
  );
  print(`guest has an address ${since()}`);
  await machine.cut();
  const { stdout } = await run(['du', '--block-size=1M', disk]);
  print(`disk used: ${stdout.split('\t')[0]} MiB`);
  expect(await readBootState(disk)).toMatchObject({ good: 'A' });
});
