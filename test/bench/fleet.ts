/** Many VMs at once: how long until each one's QEMU answers, and what the service needs of memory for them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestBox } from '../helpers/box.ts';
import { commandOf } from './boot.ts';
import { quantile, type Figure } from './figures.ts';
import { servicePss } from './footprint.ts';
import { request } from './request.ts';

const spacing = 100;
const limit = 180_000;

/** Until a QMP monitor greets; the second one, which is nobody's. */
async function greeted(socket: string): Promise<void> {
  for (const end = Date.now() + limit; Date.now() < end; await delay(10)) {
    const heard = await new Promise<boolean>((resolve) => {
      const monitor = connect(socket);
      const settle = (result: boolean): void => {
        monitor.destroy();
        resolve(result);
      };
      monitor.once('error', () => settle(false));
      monitor.once('data', () => settle(true));
    });
    if (heard) return;
  }
  throw new Error(`${socket}: no QMP greeting within ${limit / 1000} s`);
}

/** Starts `count` of them, one each 100 ms; ms that each took. */
async function spaced(count: number, start: (index: number) => Promise<void>): Promise<number[]> {
  const begun = performance.now();
  return await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      await delay(index * spacing - (performance.now() - begun));
      const from = performance.now();
      await start(index);
      return performance.now() - from;
    }),
  );
}

export async function measureFleet(box: TestBox, socket: string, count: number): Promise<Figure[]> {
  const names = Array.from({ length: count }, (_, index) => `fleet-${index}`);
  const ids: string[] = [];
  const without = await servicePss(box);
  const ours = await spaced(count, async (index) => {
    const wish = { name: names[index], image: 'tiny-bench', cpus: 1, memory: 64 * 2 ** 20, paused: true };
    const { id } = await request<{ id: string }>(socket, 'POST', '/v1/vms', wish);
    ids[index] = id;
    await greeted(join(box.directory, 'run/vms', id, 'io/rescue.sock'));
  });
  await delay(5_000);
  const withThem = await servicePss(box);
  const directories = ids.map((_, index) => join(box.directory, 'fleet', String(index)));
  const commands = await Promise.all(ids.map((id, index) => commandOf(box, id, directories[index] as string)));
  // By force: paused guests don't hear the power button.
  await box.croft(['vm', 'stop', ...names, '--force'], { timeout: 600_000 });
  const children: ChildProcess[] = [];
  let bare: number[];
  try {
    for (const directory of directories) await mkdir(join(directory, 'io'), { recursive: true });
    bare = await spaced(count, async (index) => {
      const [program, ...words] = commands[index] as [string, ...string[]];
      children.push(spawn(program, ['-S', ...words], { stdio: ['ignore', 'ignore', 'inherit'] }));
      await greeted(join(directories[index] as string, 'io/rescue.sock'));
    });
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await rm(join(box.directory, 'fleet'), { recursive: true, force: true });
  }
  await box.croft(['vm', 'delete', ...names, '--yes'], { timeout: 600_000 });
  return [
    {
      name: `${count} VMs created at ${spacing} ms spacing, request to QMP ready, P95`,
      ours: [quantile(ours, 0.95) / 1_000],
      against: [quantile(bare, 0.95) / 1_000],
      againstName: 'the same QEMUs from a loop',
      unit: 's',
      goal: '≤ 1.2×, ≤ 2.8 s',
      how: `One run of each, guests paused. Medians: ${(quantile(ours, 0.5) / 1_000).toFixed(2)} s and ${(quantile(bare, 0.5) / 1_000).toFixed(2)} s. By hand: the same command lines on the same disks, without taps.`,
    },
    {
      name: `Memory of the service (PSS) with ${count} VMs`,
      ours: [withThem],
      against: [without],
      againstName: 'with none',
      unit: 'MiB',
      goal: '≤ 120 MiB at 100 VMs, ≤ 0.5 MiB for each more',
      how: `Five seconds after the last of ${count} paused guests was there; ${((withThem - without) / count).toFixed(2)} MiB for each. QEMU's own memory isn't counted. Garbage collection makes single readings vary by several MiB.`,
    },
  ];
}
