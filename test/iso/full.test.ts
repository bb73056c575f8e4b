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
const answers = `version: 1\nhostname: box1\nsystemDisk: {serial: CROFT-SYSTEM}\nadministrator: {name: ada, password: ${password}}\nfinish: reboot\n`;
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

/** What happened, when by the clock, and what it cost the emulator. */
function mark(what: string, box: Machine, since = { age: 0, effort: 0 }): { age: number; effort: number } {
  print(`${what}: ${(box.age - since.age).toFixed(0)} s, ${(box.effort - since.effort).toFixed(0)} s of processor time`);
  return { age: box.age, effort: box.effort };
}

/** Waits by the clock as long as the API may be away or the work takes. */
const until = <T>(check: () => Promise<T>): Promise<T> => eventually(check, { timeout: longWait, interval: 5_000 });

/** Waits for the image, makes a VM of it and waits until it has an address. */
async function makeGuest(api: Api, name: string, image: string): Promise<void> {
  await until(async () => expect(await api.must(200, 'GET', `/v1/images/${image}`)).toMatchObject({ state: 'ready' }));
  const body = { name, image, cpus: 1, memory: '128Mi', network: 'default' };
  await api.must(201, 'POST', '/v1/vms', body, 300);
  await until(async () => {
    const vm = await api.must(200, 'GET', `/v1/vms/${name}`);
    if ((vm.addresses as string[]).length === 0) throw new Error(`${JSON.stringify(vm)}: no address yet`);
    print(`${name}: ${JSON.stringify(vm.addresses)}`);
  });
}

test.runIf(wanted)('installs, serves its API over the network and runs guests', { timeout: 4 * longWait }, async () => {
  const { size } = await stat(image.iso);
  print(`medium: ${(size / 1e6).toFixed(0)} MB`);
  expect(size).toBeLessThan(gibibyte);
  const medium = join(scratch, 'medium.iso');
  await copyFile(image.iso, medium);
  await customizeIso(medium, { answers, entry: 'install', timeout: 0 });
  const disk = join(scratch, 'disk.raw');
  await makeDisk(disk, 24 * gibibyte);
  const dataDisks = ['DATA-1', 'DATA-2'].map((name) => join(scratch, `${name}.raw`));
  for (const path of dataDisks) await makeDisk(path, 4 * gibibyte);

  const port = await freePort();
  const log = join(cache, 'logs', 'full.log');
  const box = new Machine({ firmware: 'bios', disk, dataDisks, cd: medium, memory: 4096, apiPort: port, log });
  machine = box;
  await box.start();
  await box.expect(/croft-install: Croft/, patience.userspace);
  await box.expect(/\[13\/13\] Done/, patience.installation);
  mark('installed', box);
  await box.expect(/croft-boot: slot=A /, patience.userspace);
  const start = mark('GRUB on the installed disk', box);

  const api = new Api(port);
  await until(async () => expect((await api.send('GET', '/readyz')).status).toBe(200));
  mark('API ready after GRUB', box, start);
  await box.expect(/croft-health: healthy.*/, patience.firstStart);
  await box.expect(/croft-commit: slot A committed/, patience.userspace);
  mark('healthy (API, node Ready, units) and committed after GRUB', box, start);

  // Said on the serial port too, above its sign-in.
  await until(async () => expect(box.transcript).toMatch(/Console and API: https:\/\/\S+:8440/));
  await api.signIn('ada', password);
  print(`node: ${JSON.stringify(await api.must(200, 'GET', '/v1/node'))}`);
  expect(await api.must(200, 'GET', '/v1/node/update')).toMatchObject({
    confirmed: true,
    slots: [
      { slot: 'A', state: 'running', version: image.release.version },
      { slot: 'B', state: 'empty' },
    ],
  });
  const { memory } = (await api.must(200, 'GET', '/v1/node/history')) as { memory: (number | null)[] };
  print(`memory in use without guests: ${((memory.findLast((value) => value !== null) ?? 0) / 2 ** 20).toFixed(0)} MiB`);
  await makeGuest(api, 'nested', 'tiny');
  mark('a guest has its address after GRUB', box, start);

  const disks = ['DATA-1', 'DATA-2'].map((serial) => ({ path: `/dev/disk/by-id/virtio-${serial}` }));
  const begun = { age: box.age, effort: box.effort };
  await api.must(201, 'POST', '/v1/pools', { name: 'replicated', driver: 'rbd', replicas: 2, disks }, 300);
  await until(async () => expect(await api.must(200, 'GET', '/v1/pools/replicated')).toMatchObject({ state: 'ready' }));
  mark('a pool on two disks', box, begun);
  await api.must(201, 'POST', '/v1/images', { name: 'tiny-safe', source: { build: 'tiny' }, pool: 'replicated' }, 300);
  await makeGuest(api, 'safe', 'tiny-safe');
  mark('a guest on both disks', box, begun);
  print(`pool: ${JSON.stringify(await api.must(200, 'GET', '/v1/pools/replicated'))}`);

  await box.cut();
  const { stdout } = await run(['du', '--block-size=1M', disk]);
  print(`disk used: ${stdout.split('\t')[0]} MiB`);
  expect(await readBootState(disk)).toMatchObject({ good: 'A' });
});
