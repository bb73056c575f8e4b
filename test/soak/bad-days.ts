/**
 * A real box under load, and something dies. The load creates, starts, stops, labels and deletes VMs with real QEMUs (blank disks:
 * the firmware finds nothing to boot, which costs little) over the API, several at once; each worker has VMs of its own, so
 * what was acknowledged of each is known exactly, and what was under way when the service died may be either.
 *
 * Oracles: every acknowledged change is there; each VM comes to the state that was wished last; no process, run directory, tap
 * or disk is left of what is gone; and at no moment two QEMUs have one disk (looked at all the while).
 */
import { readdir, readFile, readlink, rm, statfs, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import { run } from '../../appliance/host/exec.ts';
import { randomOf } from '../../appliance/store/rough.ts';
import { request } from '../bench/request.ts';
import { createBox, type TestBox } from '../helpers/box.ts';
import { eventually } from '../helpers/eventually.ts';

export type Fault = 'service' | 'qemu' | 'qmp' | 'vswitchd' | 'ovsdb' | 'dnsmasq' | 'disk';

const workers = 3;
const names = (worker: number): string[] => [`w${worker}-a`, `w${worker}-b`];
const allNames = Array.from({ length: workers }, (_, worker) => names(worker)).flat();
/** A machine with many other things to do is slow, and slowness is judged elsewhere. */
const patience = { timeout: 180_000, interval: 250 };

/** What a VM must be; each list has more than one entry while a change was neither acknowledged nor refused. */
type Known = { exists: boolean[]; runs: boolean[]; mark: string[] };
type VmView = { id: string; name: string; state: string; reason?: string; labels?: Record<string, string> };
type Qemu = { pid: number; id: string };

/** QEMUs of the box's namespace, by the run directory they name. */
async function qemus(box: TestBox): Promise<Qemu[]> {
  const { stdout } = await run(['ip', 'netns', 'pids', box.namespace]);
  const found: Qemu[] = [];
  for (const pid of stdout.split('\n').filter(Boolean).map(Number)) {
    try {
      if (!(await readlink(`/proc/${pid}/exe`)).includes('qemu-system')) continue;
      const id = /\/vms\/([0-9a-f-]{36})\//.exec(await readFile(`/proc/${pid}/cmdline`, 'utf8'))?.[1];
      const state = / \(.*\) (\w)/.exec(await readFile(`/proc/${pid}/stat`, 'utf8'))?.[1];
      if (id && state !== 'Z') found.push({ pid, id });
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}

/** Looks all the while whether two QEMUs have one VM's disks. */
function watchTwins(box: TestBox): { stop: () => Promise<void> } {
  const ended = new AbortController();
  let hurt: string | undefined;
  const looking = (async () => {
    while (!ended.signal.aborted) {
      const byId = Map.groupBy(await qemus(box), ({ id }) => id);
      for (const [id, all] of byId) {
        if (all.length > 1) hurt ??= `two QEMUs (${all.map(({ pid }) => pid).join(', ')}) have the disks of VM ${id}`;
      }
      await delay(200);
    }
  })();
  return {
    stop: async () => {
      ended.abort();
      await looking;
      if (hurt !== undefined) throw new Error(hurt);
    },
  };
}

class Refused extends Error {}

async function call<T>(socket: string, method: string, path: string, body?: unknown): Promise<T> {
  try {
    return await request<T>(socket, method, path, body, { 'if-match': '*' });
  } catch (error) {
    // 4xx: certainly not done. Anything else: nobody knows.
    if (error instanceof Error && /: 4\d\d /.test(error.message)) throw new Refused(error.message);
    if (error instanceof Error && /: 507 /.test(error.message)) throw new Refused(error.message);
    if (error instanceof Error && /: 5\d\d /.test(error.message)) throw new Error(`answered with a fault: ${error.message}`);
    throw error;
  }
}

/** One worker's changes until `until` aborts. Faults of the API are collected; a dead service is not one. */
async function load(
  socket: string,
  worker: number,
  random: () => number,
  known: Map<string, Known>,
  until: AbortSignal,
  faults: string[],
) {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  let marks = 0;
  while (!until.aborted) {
    const name = pick(names(worker));
    const before = known.get(name) as Known;
    const change = async (next: Partial<Known>, method: string, path: string, body?: unknown): Promise<void> => {
      const both = { ...before };
      for (const key of Object.keys(next) as (keyof Known)[])
        (both[key] as unknown[]) = [...before[key], ...(next[key] as never[])];
      known.set(name, both);
      try {
        await call(socket, method, path, body);
        known.set(name, { ...before, ...next });
      } catch (error) {
        if (error instanceof Refused) known.set(name, before);
        else if (error instanceof Error && error.message.startsWith('answered with a fault')) faults.push(error.message);
      }
    };
    // What an unanswered change left open is settled by asking, not by guessing.
    if (before.exists.length > 1) {
      await delay(50);
      const there = await call<VmView>(socket, 'GET', `/v1/vms/${name}`).then(
        () => true,
        (error: unknown) => (error instanceof Refused ? false : undefined),
      );
      if (there !== undefined)
        known.set(name, { exists: [there], runs: there ? before.runs : [false], mark: there ? before.mark : [''] });
      continue;
    }
    if (!before.exists[0]) {
      const start = random() < 0.7;
      // No guest is there to hear the power button.
      const body = { name, cpus: 1, memory: '64Mi', disks: [{ size: '8Mi' }], gracePeriodSeconds: 1, start };
      await change({ exists: [true], runs: [start], mark: [''] }, 'POST', '/v1/vms', body);
    } else {
      const what = random();
      if (what < 0.45) {
        const mark = `${worker}-${++marks}-${Math.floor(random() * 1e6)}`;
        await change({ mark: [mark] }, 'PATCH', `/v1/vms/${name}`, { labels: { mark } });
      } else if (what < 0.6) await change({ runs: [true] }, 'POST', `/v1/vms/${name}/start`);
      else if (what < 0.75) await change({ runs: [false] }, 'POST', `/v1/vms/${name}/stop`, { force: true });
      else if (what < 0.85) await change({ exists: [false], runs: [false], mark: [''] }, 'DELETE', `/v1/vms/${name}`);
      else await call(socket, 'GET', '/v1/vms').catch(() => undefined);
    }
    await delay(random() * 60);
  }
}

const directoriesIn = async (path: string): Promise<string[]> =>
  (await readdir(path).catch(() => [])).filter((name) => /^[0-9a-f-]{36}$/.test(name));

async function settle(box: TestBox, socket: string, known: Map<string, Known>): Promise<string> {
  const list = async (): Promise<VmView[]> => (await call<{ items: VmView[] }>(socket, 'GET', '/v1/vms')).items;
  // At once: what was acknowledged is there before anything had time to mend itself.
  const first = new Map((await list()).filter(({ state }) => state !== 'terminating').map((vm) => [vm.name, vm]));
  for (const [name, { exists, mark }] of known) {
    const vm = first.get(name);
    if (!exists.includes(vm !== undefined))
      throw new Error(`lost: VM ${name} ${vm ? 'is there again' : 'is gone'}, which nobody asked for`);
    const label = vm?.labels?.mark ?? '';
    if (vm && !mark.includes(label)) throw new Error(`lost: VM ${name} has the mark ${label}, not ${mark.join(' or ')}`);
    known.set(name, { ...(known.get(name) as Known), exists: [vm !== undefined], mark: [label] });
  }
  await eventually(async () => {
    const vms = await list();
    for (const [name, { exists, runs }] of known) {
      const vm = vms.find((one) => one.name === name);
      if (exists[0] !== (vm !== undefined)) throw new Error(`VM ${name} is ${vm?.state ?? 'gone'}`);
      const wished = runs.map((up) => (up ? 'running' : 'stopped'));
      if (vm && !wished.some((state) => state === vm.state))
        throw new Error(`VM ${name} is ${vm.state} (${vm.reason ?? ''}), not ${wished.join(' or ')}`);
    }
    const alive = (await qemus(box)).map(({ id }) => id).sort();
    const running = vms
      .filter(({ state }) => state === 'running')
      .map(({ id }) => id)
      .sort();
    if (String(alive) !== String(running)) throw new Error(`QEMUs of ${String(alive)}, but VMs that run are ${String(running)}`);
    const ids = new Set(vms.map(({ id }) => id));
    const left = (await directoriesIn(join(box.directory, 'run/vms'))).filter((id) => !ids.has(id));
    if (left.length > 0) throw new Error(`run directories are left of ${String(left)}`);
    const volumes = (await call<{ items: { id: string }[] }>(socket, 'GET', '/v1/volumes')).items.map(({ id }) => id);
    const disks = (await directoriesIn(join(box.directory, 'data/pools/local/volumes'))).filter((id) => !volumes.includes(id));
    if (disks.length > 0) throw new Error(`disks are left that no volume names: ${String(disks)}`);
    const { stdout } = await box.inside(['ip', '-o', 'link']);
    const taps = [...stdout.matchAll(/: (ct[0-9a-f]{10})n\d+/g)].map(([, tap]) => tap as string);
    const orphans = taps.filter((tap) => ![...ids].some((id) => tap === `ct${id.replaceAll('-', '').slice(-10)}`));
    if (orphans.length > 0) throw new Error(`taps are left: ${String(orphans)}`);
  }, patience);
  for (const [name, now] of known) {
    const vm = (await list()).find((one) => one.name === name);
    known.set(name, { ...now, runs: [vm?.state === 'running'] });
  }
  return `${(await list()).length} VMs`;
}

/** Pids in the namespace whose program has this name. */
async function pidsOf(box: TestBox, program: string): Promise<number[]> {
  const { stdout } = await run(['ip', 'netns', 'pids', box.namespace]);
  const pids: number[] = [];
  for (const pid of stdout.split('\n').filter(Boolean)) {
    const comm = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
    if (comm.trim() === program) pids.push(Number(pid));
  }
  return pids;
}

/** Kills a daemon; it must come back by itself, as another process. */
async function killDaemon(box: TestBox, program: string): Promise<void> {
  const before = await pidsOf(box, program);
  if (before.length === 0) throw new Error(`${program} does not run`);
  for (const pid of before) process.kill(pid, 'SIGKILL');
  await eventually(async () => {
    const now = await pidsOf(box, program);
    if (now.length < before.length || now.some((pid) => before.includes(pid))) throw new Error(`${program} did not come back`);
  }, patience);
}

type Scene = { box: TestBox; socket: string; random: () => number };

/** Fills the data directory's file system, and sees that changes are refused in words while reads go on. */
async function fillDisk({ box, socket }: Scene): Promise<void> {
  const data = join(box.directory, 'data');
  const filler = join(data, 'filler');
  const { bavail, bsize } = await statfs(data);
  await writeFile(filler, Buffer.alloc(Math.max(0, bavail * bsize - 16_384))).catch(() => undefined);
  await writeFile(`${filler}2`, Buffer.alloc(65_536)).catch(() => undefined);
  try {
    await delay(1_500);
    await call(socket, 'GET', '/v1/vms');
    const made = await call(socket, 'POST', '/v1/networks', { name: 'full', vlan: 77 }).then(
      () => 'made',
      (error: unknown) => (error instanceof Refused ? 'refused' : String(error)),
    );
    if (!['made', 'refused'].includes(made)) throw new Error(`a change on a full disk: ${made}`);
  } finally {
    await rm(filler, { force: true });
    await rm(`${filler}2`, { force: true });
  }
  await eventually(
    () =>
      call(socket, 'DELETE', '/v1/networks/full').catch((error: unknown) => {
        if (!(error instanceof Refused && / 404 /.test(error.message))) throw error;
      }),
    patience,
  );
}

/** One that the load had deleted meanwhile is beyond all signals. */
function signal(pid: number, name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

const faultActions: Record<Exclude<Fault, 'service'>, (scene: Scene) => Promise<void>> = {
  qemu: async ({ box, random }) => {
    const all = await qemus(box);
    const victim = all[Math.floor(random() * all.length)];
    if (victim) signal(victim.pid, 'SIGKILL');
  },
  // Stopped, QEMU answers nothing: it is told as unresponsive, never killed for it, and goes on afterwards.
  qmp: async ({ box, socket, random }) => {
    const all = await qemus(box);
    const victim = all[Math.floor(random() * all.length)];
    if (!victim) return;
    signal(victim.pid, 'SIGSTOP');
    try {
      const until = Date.now() + 3_000 + random() * 9_000;
      while (Date.now() < until) {
        await call(socket, 'GET', '/v1/vms');
        await delay(250);
      }
    } finally {
      signal(victim.pid, 'SIGCONT');
    }
  },
  vswitchd: ({ box }) => killDaemon(box, 'ovs-vswitchd'),
  ovsdb: ({ box }) => killDaemon(box, 'ovsdb-server'),
  dnsmasq: ({ box }) => killDaemon(box, 'dnsmasq'),
  disk: fillDisk,
};

export type BadDays = {
  round: (seed: number, fault?: Fault) => Promise<string>;
  readonly box: TestBox;
  close: () => Promise<void>;
};

/** A box of its own with its data on a small file system; each round brings one fault of those named, chosen by its seed. */
export async function openBadDays(faults: readonly Fault[]): Promise<BadDays> {
  const box = await createBox();
  const data = join(box.directory, 'data');
  const socket = join(box.directory, 'run/api/api.sock');
  const small = faults.includes('disk');
  const close = async (): Promise<void> => {
    if (small) await run(['umount', '-l', data], { okCodes: [0, 1, 32] });
    await box.dispose();
  };
  try {
    if (small) {
      await run(['mkdir', '-p', data]);
      await run(['mount', '-t', 'tmpfs', '-o', 'size=512m,mode=711', 'croft-soak', data]);
    }
    await box.start();
    // What is built on a first start would only be noise here.
    await eventually(
      () =>
        call(socket, 'DELETE', '/v1/images/tiny').catch((error: unknown) => {
          if (!(error instanceof Refused)) throw error;
        }),
      patience,
    );
  } catch (error) {
    await close();
    throw error;
  }
  const known = new Map(allNames.map((name): [string, Known] => [name, { exists: [false], runs: [false], mark: [''] }]));

  const round: BadDays['round'] = async (seed, wished) => {
    const random = randomOf(seed);
    const drawn = faults[Math.floor(random() * faults.length)] as Fault;
    const fault = wished ?? drawn;
    const twins = watchTwins(box);
    const answered: string[] = [];
    const ended = new AbortController();
    const working = Array.from({ length: workers }, (_, worker) =>
      load(socket, worker, randomOf(seed + worker + 1), known, ended.signal, answered),
    );
    const moment = 300 + random() * 4_000;
    try {
      await delay(moment);
      if (fault === 'service') {
        await box.kill();
        ended.abort();
        await Promise.all(working);
        await box.start();
      } else {
        await faultActions[fault]({ box, socket, random });
        ended.abort();
        await Promise.all(working);
      }
      if (answered.length > 0) throw new Error(answered[0]);
      return `${fault} after ${moment.toFixed(0)} ms, ${await settle(box, socket, known)}`;
    } catch (error) {
      throw new Error(`${fault} after ${moment.toFixed(0)} ms: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    } finally {
      ended.abort();
      await Promise.allSettled(working);
      await twins.stop();
    }
  };
  return { round, box, close };
}
