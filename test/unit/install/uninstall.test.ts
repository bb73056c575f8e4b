import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readProcess } from '../../../appliance/host/process-info.ts';
import { croftLinks, croftTables } from '../../../appliance/install/host-network.ts';
import { runningDaemons, runningGuests, runningService } from '../../../appliance/install/running.ts';
import { uninstall, type UninstallOptions } from '../../../appliance/install/uninstall.ts';

let directory: string;
let options: UninstallOptions;
let children: ChildProcess[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'croft-uninstall-'));
  children = [];
  const [dataDir, runDir, cacheDir] = ['data', 'run', 'cache'].map((name) => join(directory, name)) as [string, string, string];
  for (const path of [dataDir, runDir, cacheDir]) mkdirSync(path);
  options = { dataDir, runDir, cacheDir, purge: false, force: false, log: () => undefined, network: false };
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/** A process of ours with a record of it, as the service leaves for a guest or daemon. */
async function recorded(path: string, startTimeOff = 0): Promise<ChildProcess> {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  children.push(child);
  const pid = child.pid as number;
  const startTime = ((await readProcess(pid))?.startTime ?? 0) + startTimeOff;
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, JSON.stringify({ pid, startTime }));
  return child;
}
const ended = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

test('guests that run are named and nothing is touched', async () => {
  const guest = await recorded(join(options.runDir, 'vms/web/launch.json'));
  const service = await recorded(join(options.runDir, 'service.json'));
  await expect(uninstall(options)).rejects.toMatchObject({ code: 'invalid-state', message: '1 guests run: web.' });
  expect([ended(guest), ended(service)]).toEqual([false, false]);
});

test('with force service, guests and daemons end, and the run directory goes', async () => {
  const all = [
    await recorded(join(options.runDir, 'vms/web/launch.json')),
    await recorded(join(options.runDir, 'service.json')),
    await recorded(join(options.runDir, 'ovs/ovs-vswitchd.json')),
  ];
  expect(await runningService(options.runDir)).toMatchObject({ pid: all[1]?.pid });
  expect((await runningGuests(options.runDir)).map((guest) => guest.label)).toEqual(['web']);
  expect((await runningDaemons(options.runDir)).map((daemon) => daemon.label)).toEqual(['ovs-vswitchd']);
  expect(await uninstall({ ...options, force: true })).toEqual([]);
  expect(all.map(ended)).toEqual([true, true, true]);
  expect(existsSync(options.runDir)).toBe(false);
  expect(existsSync(options.dataDir)).toBe(true);
});

test('a process that only has the recorded pid is left alone', async () => {
  const stranger = await recorded(join(options.runDir, 'ovs/ovsdb-server.json'), 1);
  expect(await uninstall(options)).toEqual([]);
  expect(ended(stranger)).toBe(false);
});

test("purge takes Croft's own entries, not a stranger's files beside them; it can be repeated", async () => {
  for (const name of ['store.db', 'mine.txt']) writeFileSync(join(options.dataDir, name), '');
  expect(await uninstall({ ...options, purge: true })).toEqual([]);
  expect(existsSync(join(options.dataDir, 'store.db'))).toBe(false);
  expect(existsSync(join(options.dataDir, 'mine.txt'))).toBe(true);
  expect(existsSync(options.cacheDir)).toBe(false);
  expect(await uninstall({ ...options, purge: true })).toEqual([]);
});

test("only names of Croft's are taken for ours", () => {
  const links = [
    'lo',
    'eth0',
    'croft0',
    'ct0123456789n0',
    'cp0123456789n0',
    'cpu0',
    'ct0123456789n12',
    'ctl0',
    'croft-dhcp',
    'croftx',
  ];
  expect(croftLinks(JSON.stringify(links.map((ifname) => ({ ifname }))))).toEqual([
    'croft0',
    'ct0123456789n0',
    'cp0123456789n0',
    'ct0123456789n12',
    'croft-dhcp',
  ]);
  expect(croftTables('table inet croft\ntable ip filter\ntable bridge croft-x\ntable inet crofter\n')).toEqual([
    ['inet', 'croft'],
    ['bridge', 'croft-x'],
  ]);
});
