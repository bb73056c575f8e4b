/** `POST /v1/vms` until the guest's own programs run, against the same QEMU command typed by hand, on the same disk. */
import { spawn } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { TestBox } from '../helpers/box.ts';
import { eventually } from '../helpers/eventually.ts';
import type { Figure } from './figures.ts';
import { request } from './request.ts';

const up = 'croft-tiny: up';
const limit = 180_000;

async function byCroft(box: TestBox, socket: string, name: string): Promise<number> {
  const from = performance.now();
  const { id } = await request<{ id: string }>(socket, 'POST', '/v1/vms', {
    name,
    image: 'tiny-bench',
    cpus: 1,
    memory: 128 * 1024 * 1024,
  });
  const log = join(box.directory, 'run/vms', id, 'serial.log');
  await eventually(async () => (await readFile(log, 'utf8')).includes(up), { timeout: limit, interval: 10 });
  return performance.now() - from;
}

/** The VM's own command line: sockets elsewhere, no held CPUs, and a port that leads nowhere in place of the tap. */
export async function commandOf(box: TestBox, id: string, directory: string): Promise<string[]> {
  const place = join(box.directory, 'run/vms', id);
  const { argv } = JSON.parse(await readFile(join(place, 'launch.json'), 'utf8')) as { argv: string[] };
  return argv
    .filter((word) => word !== '-S')
    .map((word) => word.replace(place, directory))
    .map((word) => (word.startsWith('{"type":"tap"') ? '{"type":"hubport","id":"net0","hubid":0}' : word));
}

async function byHand(argv: string[], directory: string): Promise<number> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(join(directory, 'io'), { recursive: true });
  const from = performance.now();
  const qemu = spawn(argv[0] as string, argv.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    let text = '';
    const path = join(directory, 'io/serial.sock');
    await eventually(
      () =>
        new Promise<void>((resolve, reject) => {
          if (qemu.exitCode !== null) reject(new Error(`QEMU ended with ${qemu.exitCode}`));
          const socket = connect(path);
          socket.once('error', reject);
          socket.once('connect', () => {
            socket.on('data', (chunk: Buffer) => {
              text += String(chunk);
            });
            resolve();
          });
        }),
      { timeout: 10_000, interval: 5 },
    );
    await eventually(() => text.includes(up), { timeout: limit, interval: 10 });
    return performance.now() - from;
  } finally {
    const gone = new Promise((resolve) => qemu.once('exit', resolve));
    qemu.kill('SIGKILL');
    await gone;
  }
}

export async function measureBoot(box: TestBox, socket: string, rounds: number): Promise<Figure> {
  const [ours, against]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const name = `boot-${round}`;
    ours.push((await byCroft(box, socket, name)) / 1_000);
    const { id } = await box.vm(name);
    const directory = join(box.directory, 'hand');
    const argv = await commandOf(box, id, directory);
    await box.croft(['vm', 'stop', name, '--force']);
    against.push((await byHand(argv, directory)) / 1_000);
    await box.croft(['vm', 'delete', name, '--yes']);
  }
  return {
    name: 'Create a VM: request to the guest’s first program',
    ours,
    against,
    againstName: 'the same QEMU command by hand',
    unit: 's',
    goal: '≤ 1.1×',
    how: `${rounds} rounds. From the request until \`tiny\` says on the serial console that it is up. Ours includes storing, cloning the disk, the seed, tap and switch port. By hand: the VM’s own command line on its own disk, without tap.`,
  };
}
