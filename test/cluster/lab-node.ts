/**
 * One node of a lab cluster on this machine: a network namespace and a mount namespace of its own, in which k3s
 * finds its fixed paths (/run/k3s, /var/lib/kubelet …) empty and private. A holder process keeps the mount
 * namespace; everything that lives in that namespace is the node's and ends with it. What Kubernetes changes for
 * the whole machine (sysctls, cgroups) is put back.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, readlink, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inNode, removeTree } from '../../appliance/cluster/k3s-clean.ts';
import { run, type RunOptions } from '../../appliance/host/exec.ts';
import { listPids, statFields } from '../../appliance/host/process-info.ts';
import { eventually } from '../helpers/eventually.ts';

/** Kubernetes' fixed paths that a node must not share with the machine. */
const privatePaths = [
  '/run/k3s',
  '/run/containerd',
  '/run/netns',
  '/var/lib/kubelet',
  '/var/lib/cni',
  '/var/log/pods',
  '/var/log/containers',
];
/** What kubelet sets for the whole machine (pkg/kubelet/cm, setupKernelTunables). */
const sysctls = [
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
];

export type LabNode = {
  name: string;
  ip: string;
  /** Private directory of the node; short, for sockets. */
  directory: string;
  /** argv prefix that runs a program inside the node. */
  enter: string[];
  cgroupRoot: string;
  run: (argv: [string, ...string[]], options?: RunOptions) => ReturnType<typeof run>;
  /** Pids of everything that lives in the node's mount namespace, the holder excepted. */
  processes: () => Promise<number[]>;
  /** Ends every process of the node and removes all that was made. Idempotent. */
  destroy: () => Promise<void>;
};

/** Makes a node with address `ip`/24 on a bridge of its own; nothing of it is reachable from outside. */
export async function createLabNode(ip: string): Promise<LabNode> {
  const name = `croft-k3s-${randomBytes(3).toString('hex')}`;
  const directory = await mkdtemp(join(tmpdir(), 'croft-k3s-'));
  await keepSysctls();
  const made = await makeMissing(privatePaths);
  const undo: (() => Promise<void>)[] = [
    () => rm(directory, { recursive: true, force: true }),
    () => removeEmpty(made),
    restoreSysctls,
    () => removeCgroups(name),
  ];
  const destroy = async () => {
    const steps = undo.splice(0).toReversed();
    const failures: unknown[] = [];
    for (const step of steps) await step().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw new AggregateError(failures, `node ${name} was not removed entirely`);
  };
  try {
    await makeCgroups(name);
    await run(['ip', 'netns', 'add', name]);
    undo.push(async () => void (await run(['ip', 'netns', 'delete', name])));
    await connect(name, ip);
    const holder = await holdNamespace(name);
    const namespace = await readlink(`/proc/${holder.pid}/ns/mnt`);
    const inside = () => processesIn(namespace);
    undo.push(() => endAll(inside));
    const enter = ['nsenter', '-t', String(holder.pid), '--mount', '--net', '--'];
    return {
      name,
      ip,
      directory,
      enter,
      cgroupRoot: `/${name}`,
      run: (argv, options) => run(inNode(enter, ...argv), options),
      processes: async () => (await inside()).filter((pid) => pid !== holder.pid),
      destroy,
    };
  } catch (error) {
    await destroy();
    throw error;
  }
}

async function connect(name: string, ip: string): Promise<void> {
  const ipIn = (...args: string[]) => run(['ip', '-n', name, ...args]);
  await ipIn('link', 'set', 'lo', 'up');
  await ipIn('link', 'add', 'lab0', 'type', 'bridge');
  await ipIn('address', 'add', `${ip}/24`, 'dev', 'lab0');
  await ipIn('link', 'set', 'lab0', 'up');
  // Packets to a Service's address need a route before kube-proxy's rules can turn them; it leads nowhere.
  await ipIn('route', 'add', 'default', 'via', ip.replace(/\d+$/, '254'), 'dev', 'lab0');
}

/** Puts two nodes on one network: their bridges are joined by a veth pair, which goes with either node. */
export async function linkNodes(a: LabNode, b: LabNode): Promise<void> {
  const [nearName, farName] = [`to-${b.name.slice(-6)}`, `to-${a.name.slice(-6)}`];
  await run(['ip', '-n', a.name, 'link', 'add', nearName, 'type', 'veth', 'peer', 'name', farName, 'netns', b.name]);
  for (const [node, end] of [
    [a, nearName],
    [b, farName],
  ] as const) {
    await run(['ip', '-n', node.name, 'link', 'set', end, 'master', 'lab0', 'up']);
  }
}

/** Cuts a node off from the others, or joins it to them again: its own ends of the links between nodes. */
export async function setLinks({ name }: LabNode, state: 'up' | 'down'): Promise<void> {
  const { stdout } = await run(['ip', '-n', name, '-j', 'link', 'show', 'type', 'veth']);
  for (const { ifname } of JSON.parse(stdout) as { ifname: string }[]) {
    if (ifname.startsWith('to-')) await run(['ip', '-n', name, 'link', 'set', ifname, state]);
  }
}

/** `ip netns exec` would mount a fresh /sys and hide the cgroups; so the two namespaces are entered by hand. */
async function holdNamespace(name: string): Promise<ChildProcess & { pid: number }> {
  const mounts = privatePaths.map((path) => `mount -t tmpfs -o mode=755 croft-lab ${path}`).join(' && ');
  const script = `mount --make-rshared / && ${mounts} && echo ready && exec sleep infinity`;
  const argv = [`--net=/run/netns/${name}`, 'unshare', '--mount', '--propagation', 'slave', 'sh', '-c', script];
  const holder = spawn('nsenter', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise<void>((resolve, reject) => {
    holder.stdout.once('data', () => resolve());
    holder.once('error', reject);
    holder.once('exit', (code) => reject(new Error(`the namespace of ${name} could not be made (code ${code})`)));
  });
  holder.unref();
  return holder as ChildProcess & { pid: number };
}

async function processesIn(namespace: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await listPids()) {
    if ((await readlink(`/proc/${pid}/ns/mnt`).catch(() => '')) === namespace) found.push(pid);
  }
  // Containers have mount namespaces of their own; their shims, and so they, are found by descent.
  return [...new Set([...found, ...(await descendants(found))])];
}

async function descendants(roots: number[]): Promise<number[]> {
  const parents = new Map<number, number>();
  for (const pid of await listPids()) {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const [state, parent] = statFields(text);
    if (parent !== undefined && state !== 'Z') parents.set(pid, Number(parent));
  }
  const known = new Set(roots);
  for (let grown = true; grown; ) {
    grown = false;
    for (const [pid, parent] of parents) {
      if (!known.has(parent) || known.has(pid)) continue;
      known.add(pid);
      grown = true;
    }
  }
  return [...known].filter((pid) => !roots.includes(pid));
}

const endAll = (find: () => Promise<number[]>): Promise<void> =>
  eventually<void | false>(async () => {
    const pids = await find();
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended meanwhile.
      }
    }
    if (pids.length > 0) return false;
  }).then(() => undefined);

const hierarchies = async () => (await readdir('/sys/fs/cgroup')).map((entry) => join('/sys/fs/cgroup', entry));

/** kubelet wants its root to exist in every v1 hierarchy; a cpuset without clone_children takes no process. */
async function makeCgroups(name: string): Promise<void> {
  if (await exists('/sys/fs/cgroup/cgroup.controllers')) return void (await mkdir(`/sys/fs/cgroup/${name}`));
  for (const hierarchy of await hierarchies()) {
    const path = join(hierarchy, name);
    if (!(await exists(join(hierarchy, 'cgroup.procs'))) || (await exists(path))) continue;
    await mkdir(path);
    if (hierarchy.endsWith('cpuset')) await writeFile(join(path, 'cgroup.clone_children'), '1');
    for (const file of hierarchy.endsWith('cpuset') ? ['cpuset.cpus', 'cpuset.mems'] : []) {
      await writeFile(join(path, file), await readFile(join(hierarchy, file)));
    }
  }
}

async function removeCgroups(name: string): Promise<void> {
  for (const path of ['/sys/fs/cgroup', ...(await hierarchies())]) await removeTree(join(path, name));
}

/** Nodes that live at once share the machine's sysctls: the first keeps what it finds, the last puts it back. */
const found = new Map<string, string>();
let users = 0;

async function keepSysctls(): Promise<void> {
  users += 1;
  if (users > 1) return;
  for (const name of sysctls) found.set(name, await readFile(`/proc/sys/${name}`, 'utf8'));
}

async function restoreSysctls(): Promise<void> {
  users -= 1;
  if (users > 0) return;
  for (const [name, value] of found) {
    if ((await readFile(`/proc/sys/${name}`, 'utf8')) !== value) await writeFile(`/proc/sys/${name}`, value);
  }
}

/** Makes the directories that aren't there, and says which they are. */
async function makeMissing(paths: string[]): Promise<string[]> {
  const made: string[] = [];
  for (const path of paths) {
    if (await exists(path)) continue;
    await mkdir(path);
    made.push(path);
  }
  return made;
}

async function removeEmpty(paths: string[]): Promise<void> {
  // Another node of another test may use the directory by now: a full one stays.
  for (const path of paths) await rmdir(path).catch(() => undefined);
}

const exists = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined)) !== undefined;
