/** Requests under load (autocannon inside the box's namespace) and one by one. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestBox } from '../helpers/box.ts';
import { type Figure, quantile } from './figures.ts';
import { servicePid } from './footprint.ts';
import { request } from './request.ts';

const home = join(import.meta.dirname, '../..');
const seconds = 4;

/** CPU time that a process has used, µs (proc(5), utime and stime in ticks of 10 ms). */
async function cpuOf(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

type Load = { perSecond: number /** µs of the server's CPU time. */; cpu: number };

async function load(box: TestBox, pid: number, url: string, token?: string): Promise<Load> {
  const cannon = join(home, 'node_modules/autocannon/autocannon.js');
  const headers = token ? ['-H', `authorization=Bearer ${token}`] : [];
  const before = await cpuOf(pid);
  const { stdout } = await box.inside([process.execPath, cannon, '-j', '-n', '-d', `${seconds}`, '-c', '8', ...headers, url], {
    timeout: 60_000,
  });
  const { requests, non2xx, errors } = JSON.parse(stdout) as {
    requests: { average: number; total: number };
    non2xx: number;
    errors: number;
  };
  if (non2xx + errors > 0) throw new Error(`${url}: ${non2xx} refused, ${errors} failed`);
  return { perSecond: requests.average, cpu: ((await cpuOf(pid)) - before) / requests.total };
}

export async function measureRead(box: TestBox, name: string, rounds: number): Promise<Figure[]> {
  const token = /croft_\S+/.exec((await box.croft(['token', 'create', 'bench', '--role', 'viewer'])).stdout)?.[0];
  if (!token) throw new Error('no token was made');
  const empty = spawn('ip', ['netns', 'exec', box.namespace, process.execPath, join(import.meta.dirname, 'empty-route.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [ours, against]: [Load[], Load[]] = [[], []];
  try {
    await new Promise<void>((resolve, reject) => {
      empty.stdout.once('data', () => resolve());
      empty.once('exit', (code) => reject(new Error(`the empty route ended with ${code}`)));
    });
    const pid = await servicePid(box);
    // One round each isn't counted: both compile what they run often.
    for (let round = -1; round < rounds; round++) {
      const mine = await load(box, pid, `${box.url}/v1/vms/${name}`, token);
      const bare = await load(box, empty.pid as number, 'http://127.0.0.1:8441/');
      if (round < 0) continue;
      ours.push(mine);
      against.push(bare);
    }
  } finally {
    empty.removeAllListeners('exit').kill('SIGKILL');
  }
  const subject = 'Authenticated `GET /v1/vms/{name}`';
  const againstName = 'an empty fastify route';
  return [
    {
      name: subject,
      ours: ours.map(({ perSecond }) => perSecond),
      against: against.map(({ perSecond }) => perSecond),
      againstName,
      unit: 'requests/s',
      goal: '≥ 0.8×',
      how: `autocannon, 8 connections, ${rounds} rounds of ${seconds} s each after one that isn’t counted. The token is checked and the access decided on each request. Load generator and server share the cores.`,
    },
    {
      name: `${subject}, CPU of the server`,
      ours: ours.map(({ cpu }) => cpu),
      against: against.map(({ cpu }) => cpu),
      againstName,
      unit: 'µs',
      goal: '≤ 1.25×',
      how: 'The same rounds: what the server’s process used of a core per request, which other load on the machine disturbs less.',
    },
  ];
}

export async function measureList(socket: string, vms: number, requests: number): Promise<Figure> {
  const times: number[] = [];
  for (let round = 0; round < requests; round++) {
    const from = performance.now();
    const { items } = await request<{ items: unknown[] }>(socket, 'GET', `/v1/vms?limit=${vms}`);
    times.push(performance.now() - from);
    if (items.length !== vms) throw new Error(`the list has ${items.length} of ${vms} VMs`);
  }
  return {
    name: `List of ${vms} VMs, P99`,
    ours: [quantile(times, 0.99)],
    unit: 'ms',
    goal: '≤ 50 ms',
    how: `${requests} requests one after the other over the unix socket, in one page; the median was ${quantile(times, 0.5).toFixed(0)} ms.`,
  };
}
