/**
 * An emulated guest arrives with the memory that it had: two real QEMUs, given memory as the product's command line gives it,
 * and a guest that writes to the same pages in a tight loop and checks each before it writes again. With 16 MiB instead,
 * QEMU 7.2 loses writes every time (argv.ts says why).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { buildArgv } from '../../../../appliance/qemu/argv.ts';
import { QmpClient } from '../../../../appliance/qemu/qmp.ts';
import { runDirOf } from '../../../../appliance/qemu/run-dir.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { countingGuestDisk } from '../../../helpers/tiny-guest.ts';

let base: string;
const children: ChildProcess[] = [];
const clients: QmpClient[] = [];
const mib = 2 ** 20;
const memory = 16 * mib;
type Info = { status: string; ram?: { 'dirty-sync-count': number } };

/** What the product's command line says of an emulated guest's memory. */
function memoryWords(): string[] {
  const cpus = { sockets: 1, cores: 1, threads: 1 };
  const argv = buildArgv(
    { id: 'i', title: 't', epoch: 1, cpus, memory, firmware: 'bios', disks: [], nics: [], graphics: false },
    { binary: 'qemu', accelerator: 'tcg', machine: 'pc', runDir: runDirOf('/r', 'i') },
  );
  const backend = argv.find((word) => word.startsWith('memory-backend-ram,')) as string;
  return ['-m', argv[argv.indexOf('-m') + 1] as string, '-object', backend];
}

type Side = { qmp: QmpClient; said: () => Promise<string> };

async function start(name: string, ...more: string[]): Promise<Side> {
  const [socket, serial] = [join(base, `${name}.sock`), join(base, `${name}.serial`)];
  const argv = ['-machine', 'pc,memory-backend=ram0', '-accel', 'tcg,thread=multi', ...memoryWords()];
  argv.push('-nodefaults', '-display', 'none', '-serial', `file:${serial}`, '-qmp', `unix:${socket},server=on,wait=off`);
  argv.push('-drive', `file=${join(base, 'disk')},format=raw,readonly=on,if=virtio`);
  children.push(spawn('qemu-system-x86_64', [...argv, ...more], { stdio: 'ignore' }));
  const qmp = await eventually(() => QmpClient.connect(socket), { timeout: 20_000 });
  clients.push(qmp);
  return { qmp, said: () => readFile(serial, 'latin1') };
}

/** Until it has counted for a while here, or says that its memory is wrong. */
const counts = ({ said }: Side) =>
  eventually(async () => /B|\.{3}/.test(await said()), { timeout: 30_000, interval: 50 }).then(said);

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'croft-dp-'));
  await writeFile(join(base, 'disk'), countingGuestDisk());
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(base, { recursive: true, force: true });
});

it('arrives with every page as it was written last', { timeout: 90_000 }, async () => {
  const stream = `unix:${join(base, 'stream')}`;
  const source = await start('source');
  expect(await counts(source)).not.toContain('B');
  const target = await start('target', '-incoming', stream);
  // Slow, so that pages are sent while the guest goes on, and then have to be sent again.
  await source.qmp.execute('migrate-set-parameters', { 'max-bandwidth': mib, 'downtime-limit': 1 });
  await source.qmp.execute('migrate', { uri: stream });
  const rounds = async (): Promise<number> => {
    const { status, ram } = await source.qmp.execute<Info>('query-migrate');
    return status === 'completed' ? Number.POSITIVE_INFINITY : (ram?.['dirty-sync-count'] ?? 0);
  };
  await eventually(async () => (await rounds()) > 8, { timeout: 30_000 });
  await source.qmp.execute('migrate-set-parameters', { 'max-bandwidth': 1024 * mib, 'downtime-limit': 2_000 });
  await eventually(async () => (await rounds()) === Number.POSITIVE_INFINITY, { timeout: 30_000 });
  expect(await counts(target)).not.toContain('B');
});
