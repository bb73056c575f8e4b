/**
 * `npm run bench`: ratios in one run, into docs/benchmarks.md. Everything happens on boxes of its own in network
 * namespaces; it takes about twelve minutes on two cores that do nothing else. `--quick` makes one round of each and writes
 * nothing; `--console` measures the console alone, and writes nothing.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { run } from '../../appliance/host/exec.ts';
import { createBox, type TestBox } from '../helpers/box.ts';
import { tinyImage } from '../helpers/tiny-image.ts';
import { measureList, measureRead } from './api.ts';
import { measureBoot } from './boot.ts';
import { measureConsole } from './console.ts';
import { benchmarksPage, type Figure } from './figures.ts';
import { measureDisk } from './disk.ts';
import { measureFleet } from './fleet.ts';
import { measureStart, storeVms } from './footprint.ts';
import { measureStorage, storageUnmeasurable } from './storage.ts';

const quick = process.argv.includes('--quick');
const stored = 1_000;
/** Their memory is hardly touched: paused guests need about 60 MiB each. */
const fleet = 100;
const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function machine(): Promise<string> {
  const qemu = /version (\S+)/.exec((await run(['qemu-system-x86_64', '--version'])).stdout)?.[1];
  const debian = /VERSION_ID="?(\d+)/.exec(await readFile('/etc/os-release', 'utf8'))?.[1];
  const [load] = (await readFile('/proc/loadavg', 'utf8')).split(' ');
  const words = [
    `A virtual machine with ${availableParallelism()} cores and ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `Debian ${debian}, QEMU ${qemu}, Node ${process.versions.node}`,
    'accelerator TCG (no KVM), Open vSwitch with the userspace datapath',
    `load average ${load} at the start`,
  ];
  return `${words.join('; ')}.`;
}

async function measure(boxes: { full: TestBox; empty: TestBox }): Promise<Figure[]> {
  const { full, empty } = boxes;
  const figures: Figure[] = [];
  const add = async (what: string, figure: Promise<Figure | Figure[]>): Promise<void> => {
    say(`${what} …`);
    figures.push(...[await figure].flat());
  };
  // The first start makes the stores; it isn't measured.
  await full.start();
  await empty.start();
  await Promise.all([full.kill(), empty.kill()]);
  await storeVms(full, stored);
  await add('start', measureStart(full, empty, stored, quick ? 1 : 3));
  await add('list', measureList(join(full.directory, 'run/api/api.sock'), stored, quick ? 20 : 100));
  await full.kill();

  const socket = join(empty.directory, 'run/api/api.sock');
  await empty.croft(['image', 'add', await tinyImage(), '--name', 'tiny-bench', '--timeout', '60s']);
  await add('boot', measureBoot(empty, socket, quick ? 1 : 3));
  await empty.croft(['vm', 'create', 'read', '--image', 'tiny-bench', '--cpus', '1', '--memory', '64Mi', '--no-start']);
  await add('read', measureRead(empty, 'read', quick ? 1 : 3));
  await add('disk', measureDisk(empty.directory, quick ? 1 : 3, quick ? 2_000 : 20_000));
  await add('fleet', measureFleet(empty, socket, quick ? 4 : fleet));
  const missing = await storageUnmeasurable();
  if (missing === undefined) await add('storage', measureStorage(empty, quick ? 1 : 3));
  else say(`storage: not measured: ${missing}`);
  await empty.kill();
  await add('console', measureConsole(stored, quick ? 1 : 3));
  return figures;
}

if (process.argv.includes('--console')) {
  const figures = await measureConsole(stored, quick ? 1 : 3);
  process.stdout.write(benchmarksPage(figures, await machine(), new Date().toISOString().slice(0, 10)));
  process.exit(0);
}
const described = await machine();
const full = await createBox();
const empty = await createBox();
try {
  const figures = await measure({ full, empty });
  const page = benchmarksPage(figures, described, new Date().toISOString().slice(0, 10));
  process.stdout.write(page);
  if (!quick) await writeFile(join(import.meta.dirname, '../../docs/benchmarks.md'), page);
} finally {
  await Promise.allSettled([full.dispose(), empty.dispose()]);
}
