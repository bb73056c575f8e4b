/**
 * A replicated pool's figures: operations a second as a VM's disk has them (QEMU's block layer, the graph that Croft gives
 * it) against fio's own RBD engine on the same image, in turn; and what the storage daemons take while they are idle.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../appliance/host/exec.ts';
import { nestedOptions } from '../../appliance/vm/moves/copy-closed.ts';
import { blockdevGraph } from '../../storage/rbd/driver.ts';
import { cephMissing } from '../helpers/ceph-missing.ts';
import type { TestBox } from '../helpers/box.ts';
import type { Figure } from './figures.ts';

const mib = 2 ** 20;
const size = 256 * mib;
const block = 4096;
/** From one operation to the next: another object each time, as random ones would, and the same for both programs. */
const step = 5 * mib + 3 * block;
const seconds = 4;

/** Why it cannot be measured here. */
export async function storageUnmeasurable(): Promise<string | undefined> {
  const missing = cephMissing();
  if (missing !== undefined) return missing;
  const { stdout } = await run(['sh', '-c', 'fio --enghelp 2>/dev/null || true']);
  return stdout.includes('rbd') ? undefined : 'needs fio with its RBD engine (Debian: fio)';
}

type Place = { box: TestBox; conf: string; image: string };
type Work = { write: boolean; depth: number };

/** @returns operations a second */
async function byFio({ box, conf, image }: Place, { write, depth }: Work): Promise<number> {
  const argv: [string, ...string[]] = [
    'fio',
    ...['--name=bench', '--ioengine=rbd', '--clientname=admin', '--pool=replicated', `--rbdname=${image}`],
    ...[`--bs=${block}`, `--iodepth=${depth}`, `--rw=${write ? 'write' : 'read'}:${step - block}`, `--size=${size}`],
    ...['--time_based', `--runtime=${seconds}`, '--output-format=json'],
  ];
  const { stdout } = await box.inside(argv, { timeout: 120_000, env: { CEPH_CONF: conf } });
  const { jobs } = JSON.parse(stdout.slice(stdout.indexOf('{'))) as { jobs: Record<'read' | 'write', { iops: number }>[] };
  return jobs[0]?.[write ? 'write' : 'read'].iops ?? 0;
}

/** @returns operations a second */
async function byQemu({ box, conf, image }: Place, { write, depth }: Work, count: number): Promise<number> {
  const graph = blockdevGraph({ pool: 'replicated', image, conf, user: 'admin' }, 'd0');
  const options = ['-c', String(count), '-d', String(depth), '-s', String(block), '-S', String(step), '-t', 'none'];
  const argv: [string, ...string[]] = [
    'qemu-img',
    'bench',
    ...options,
    ...(write ? ['-w'] : []),
    `json:${JSON.stringify(nestedOptions(graph))}`,
  ];
  const { stdout } = await box.inside(argv, { timeout: 120_000 });
  const took = Number(/completed in ([\d.]+) seconds/.exec(stdout)?.[1]);
  return count / took;
}

async function idleMemory(box: TestBox): Promise<number> {
  const { stdout } = await run(['ip', 'netns', 'pids', box.namespace]);
  let sum = 0;
  for (const pid of stdout.split('\n').filter(Boolean)) {
    const command = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => ''); // It ended meanwhile.
    if (!/^ceph-(mon|mgr|osd)/.test(command)) continue;
    sum += Number(/^Pss:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]) / 1024;
  }
  return sum;
}

export async function measureStorage(box: TestBox, rounds: number): Promise<Figure[]> {
  const disks = ['a', 'b'].flatMap((name) => ['--disk', join(box.directory, `osd-${name}`)]);
  await box.croft(['pool', 'init', 'replicated', ...disks, '--size', '4Gi', '--timeout', '150s']);
  // Fresh daemons are still at work on themselves.
  await new Promise((resolve) => setTimeout(resolve, 20_000));
  const idle = await idleMemory(box);
  const memory: Figure = {
    name: 'Storage daemons (PSS), two disks, idle',
    ours: [idle],
    unit: 'MiB',
    goal: '≤ 700 MiB',
    how: 'Mon, mgr and two OSDs of a pool made 20 s before, with nothing in it. Under load an OSD takes what it may (docs/storage-replicated.md).',
  };
  await box.croft(['volume', 'create', 'bench', '--size', '256Mi', '--pool', 'replicated']);
  const { id } = JSON.parse((await box.croft(['volume', 'show', 'bench', '-o', 'json'])).stdout) as { id: string };
  const place = { box, conf: join(box.directory, 'data/ceph/ceph.conf'), image: `vol-${id}.g1` };
  const fill = ['bench', '--io-type', 'write', '--io-size', '4M', '--io-threads', '4', '--io-total', String(size)];
  await box.inside(['rbd', '-c', place.conf, ...fill, `replicated/${place.image}`], { timeout: 120_000 });
  const figures: Figure[] = [];
  for (const write of [true, false]) {
    for (const depth of [1, 16]) {
      const [ours, against]: [number[], number[]] = [[], []];
      // One round each isn't counted: it finds the count and opens what is opened once.
      let count = Math.max(50, Math.round((await byFio(place, { write, depth })) * seconds));
      for (let round = 0; round < rounds; round++) {
        ours.push(await byQemu(place, { write, depth }, count));
        against.push(await byFio(place, { write, depth }));
        count = Math.max(50, Math.round((against.at(-1) as number) * seconds));
      }
      figures.push({
        name: `4 KiB ${write ? 'writes' : 'reads'}, depth ${depth}, replicated disk`,
        ours,
        against,
        againstName: 'fio’s RBD engine on the same image',
        unit: '/s',
        goal: '≥ 0.95×',
        how: `${rounds} rounds of ${seconds} s each, in turn, each operation in another object; two copies on two files of one disk. Ours: QEMU’s block layer with the graph that a VM gets (\`qemu-img bench\`), without virtio and guest, which TCG would slow down.`,
      });
    }
  }
  return [memory, ...figures];
}
