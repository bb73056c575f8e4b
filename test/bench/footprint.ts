/** What the service costs: memory for running VMs, time to start with many stored ones. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { virtualMachine } from '../../appliance/resources/virtual-machine.ts';
import { idLabel, newId } from '../../appliance/resources/identity.ts';
import { openSqliteStore } from '../../appliance/store/sqlite.ts';
import type { TestBox } from '../helpers/box.ts';
import type { Figure } from './figures.ts';

export const servicePid = async (box: TestBox): Promise<number> =>
  (JSON.parse(await readFile(join(box.directory, 'run/service.json'), 'utf8')) as { pid: number }).pid;

/** Proportional set size of the service, MiB (proc(5), smaps_rollup). */
export async function servicePss(box: TestBox): Promise<number> {
  const pid = await servicePid(box);
  const kib = /^Pss:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
  return Number(kib) / 1_024;
}

/** Puts `count` stopped VMs into the store of a box that doesn't run. */
export async function storeVms(box: TestBox, count: number): Promise<void> {
  const store = openSqliteStore({ path: join(box.directory, 'data/store.db') });
  try {
    for (let index = 0; index < count; index++) {
      await store.create(virtualMachine, {
        metadata: { name: `stored-${index}`, namespace: 'default', labels: { [idLabel]: newId() } },
        spec: {
          runStrategy: 'Halted',
          template: { spec: { domain: { cpu: { cores: 1 }, memory: { guest: '128Mi' }, devices: {} } } },
        },
      });
    }
  } finally {
    await store.close();
  }
}

/** Starts the two boxes in turn; both are down before and up afterwards. */
export async function measureStart(full: TestBox, empty: TestBox, vms: number, rounds: number): Promise<Figure> {
  const [ours, against]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    if (round > 0) await Promise.all([full.kill(), empty.kill()]);
    ours.push((await full.start()) / 1_000);
    against.push((await empty.start()) / 1_000);
  }
  return {
    name: `Start of the service with ${vms} stored VMs`,
    ours,
    against,
    againstName: 'with none',
    unit: 's',
    goal: '≤ 3 s',
    how: `${rounds} starts after SIGKILL, until the line that says it is ready. The switch runs on, as it does on a box.`,
  };
}
