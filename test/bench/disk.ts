/** Disk operations as a guest's QEMU is configured for them, against the same file opened plainly: no guest is between. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../appliance/host/exec.ts';
import { newId } from '../../appliance/resources/identity.ts';
import { createLocalDriver } from '../../storage/local/driver.ts';
import type { BlockdevGraph } from '../../storage/driver.ts';
import type { Figure } from './figures.ts';

const size = 512 * 2 ** 20;
const block = 4096;
/** Far enough apart that neighbours aren't merged; a prime number of blocks, so that the whole file is visited. */
const step = 1_021 * block;

/** The graph as one nested `json:` name, which qemu-img opens as QEMU does. */
function nested(graph: BlockdevGraph): string {
  const named = new Map<string, Record<string, unknown>>();
  for (const { 'node-name': name, ...rest } of graph.nodes) {
    const of = (value: unknown): unknown => (typeof value === 'string' ? named.get(value) : value);
    named.set(name, { ...rest, ...('file' in rest ? { file: of(rest.file), backing: of(rest.backing) } : {}) });
  }
  return `json:${JSON.stringify(named.get(graph.top))}`;
}

async function operations(where: string[], depth: number, write: boolean, count: number): Promise<number> {
  const argv: [string, ...string[]] = [
    'qemu-img',
    'bench',
    '-c',
    `${count}`,
    '-d',
    `${depth}`,
    '-s',
    `${block}`,
    '-S',
    `${step}`,
  ];
  const { stdout } = await run([...argv, ...(write ? ['-w', '--pattern=170'] : []), ...where], { timeout: 300_000 });
  const seconds = Number(/Run completed in ([\d.]+) seconds/.exec(stdout)?.[1]);
  return count / seconds;
}

/** In a directory on the disk that is to be measured. */
export async function measureDisk(place: string, rounds: number, count = 20_000): Promise<Figure[]> {
  const root = await mkdtemp(join(place, 'bench-disk-'));
  try {
    const driver = createLocalDriver({ path: root, reserve: 0 });
    await driver.open();
    const id = newId();
    await driver.create({ id, size, source: { blank: true } });
    const graph = await driver.blockdev(id, 'd0', undefined);
    const ours = nested(graph);
    // Written once from end to end: allocation is not what is compared.
    await run(['qemu-io', '-c', `write -P 170 0 ${size}`, ours], { timeout: 300_000 });
    const [file] = graph.nodes as [{ filename: string; cache: { direct: boolean } }, ...unknown[]];
    const { direct } = file.cache;
    const plain = ['-f', 'qcow2', '-t', direct ? 'none' : 'writeback', file.filename];
    const figures: Figure[] = [];
    for (const write of [false, true]) {
      for (const depth of [1, 16]) {
        const [mine, bare]: [number[], number[]] = [[], []];
        for (let round = 0; round < rounds; round++) {
          mine.push(await operations([ours], depth, write, count));
          bare.push(await operations(plain, depth, write, count));
        }
        figures.push({
          name: `Disk, 4 KiB ${write ? 'writes' : 'reads'}, queue depth ${depth}`,
          ours: mine,
          against: bare,
          againstName: 'qemu-img bench on the same file, same cache mode',
          unit: 'operations/s',
          goal: '≥ 0.95×',
          how: `${rounds} rounds of ${count} operations each by qemu-img bench, ours through the very graph that a guest's QEMU is given. ${direct ? 'Direct I/O' : 'This file system has no direct I/O'}; no guest is between, whose own speed would be measured.`,
        });
      }
    }
    return figures;
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
