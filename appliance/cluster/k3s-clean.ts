/**
 * What k3s leaves behind when it is stopped, and how it is taken away: the pods' processes, mounts, network and
 * cgroups. The same as k3s' own k3s-killall.sh does, but only for what provably belongs to this node: a shim is
 * ours when it speaks to k3s' containerd socket and lives in the node's mount namespace, so that several nodes of
 * a test, or another containerd of the machine, are never touched.
 */
import { readFile, readdir, readlink, rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CroftError } from '../errors.ts';
import { run } from '../host/exec.ts';
import { listPids, readArgv, statFields } from '../host/process-info.ts';

export type CleanUpOptions = {
  dataDir: string;
  /** Where kubelet's cgroups are, below each hierarchy; `/` by default of kubelet. */
  cgroupRoot: string;
  /** argv that enters the node's namespaces; empty for this one. */
  enter: readonly string[];
};

/** k3s' containerd socket (k3s docs, "Advanced Options"). */
const containerdSocket = '/run/k3s/containerd/containerd.sock';
const interfaces = ['cni0', 'flannel.1', 'flannel-v6.1', 'kube-ipvs0'];
const nftTables = ['kube-proxy', 'cni_plugins_masquerade', 'cni_hostport'];

type Argv = [string, ...string[]];

/** argv that runs `argv` inside the node. */
export const inNode = (enter: readonly string[], ...argv: Argv): Argv => {
  const [first, ...rest] = [...enter, ...argv];
  return [first as string, ...rest];
};

/** Removes what is left of a stopped k3s. Idempotent. @throws CroftError `invalid-state` when a process cannot be ended */
export async function cleanUp(options: CleanUpOptions): Promise<void> {
  await endPods(options);
  await unmountAll(options);
  // Most of these aren't there: that is no failure.
  const quietly = (...argv: Argv) => run(inNode(options.enter, ...argv), { okCodes: [0, 1, 2] });
  for (const name of interfaces) await quietly('ip', 'link', 'delete', name);
  for (const family of ['ip', 'ip6', 'inet']) {
    for (const table of nftTables) await quietly('nft', 'delete', 'table', family, table);
  }
  await removeCgroups(options.cgroupRoot);
}

/** Ends every shim of this node with all its descendants. */
async function endPods({ enter }: CleanUpOptions): Promise<void> {
  const namespace = (await run(inNode(enter, 'readlink', '/proc/self/ns/mnt'))).stdout.trim();
  const deadline = Date.now() + 10_000;
  for (;;) {
    const victims = await podProcesses(namespace);
    if (victims.length === 0) return;
    if (Date.now() > deadline) {
      throw new CroftError('invalid-state', `Processes of pods do not end: ${victims.join(', ')}.`);
    }
    for (const pid of victims) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended between the look and the signal.
      }
    }
    await delay(50);
  }
}

/** Shims in the mount namespace that speak to k3s' containerd, each after its descendants. */
async function podProcesses(namespace: string): Promise<number[]> {
  const children = new Map<number, number[]>();
  const shims: number[] = [];
  for (const pid of await listPids()) {
    const parent = await parentOf(pid);
    if (parent === undefined) continue;
    children.set(parent, [...(children.get(parent) ?? []), pid]);
    const argv = await readArgv(pid);
    if (!basename(argv[0] ?? '').startsWith('containerd-shim') || argv[argv.indexOf('-address') + 1] !== containerdSocket)
      continue;
    if ((await readlink(`/proc/${pid}/ns/mnt`).catch(() => '')) === namespace) shims.push(pid);
  }
  const withDescendants = (pid: number): number[] => [...(children.get(pid) ?? []).flatMap(withDescendants), pid];
  return shims.flatMap(withDescendants);
}

/** Parent of a living process; undefined for zombies and what is gone. */
async function parentOf(pid: number): Promise<number | undefined> {
  try {
    const [state, parent] = statFields(await readFile(`/proc/${pid}/stat`, 'utf8'));
    return state === 'Z' ? undefined : Number(parent);
  } catch {
    return undefined;
  }
}

/** Undoes mountinfo's octal escapes of blanks. */
const unescape = (field: string) =>
  field.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** Mount points that begin with any of `prefixes`, latest first, from the text of mountinfo (proc_pid_mountinfo(5)). */
export function mountsBelow(mountinfo: string, prefixes: readonly string[]): string[] {
  return mountinfo
    .split('\n')
    .map((line) => unescape(line.split(' ')[4] ?? ''))
    .filter((path) => prefixes.some((prefix) => path.startsWith(prefix)))
    .toReversed();
}

async function unmountAll({ enter, dataDir }: CleanUpOptions): Promise<void> {
  const { stdout } = await run(inNode(enter, 'cat', '/proc/self/mountinfo'));
  const prefixes = ['/run/k3s/', '/var/lib/kubelet/pods/', '/var/lib/kubelet/plugins/', '/run/netns/cni-', `${dataDir}/`];
  for (const path of mountsBelow(stdout, prefixes)) {
    // Lazily: a process that is just ending may still be in it.
    await run(inNode(enter, 'umount', '-l', path), { okCodes: [0, 32] });
  }
}

/** Removes kubelet's cgroups from every hierarchy (v1) or the one (v2). They are empty by now. */
async function removeCgroups(cgroupRoot: string): Promise<void> {
  const base = '/sys/fs/cgroup';
  for (const hierarchy of ['', ...(await readdir(base))]) await removeTree(join(base, hierarchy, cgroupRoot, 'kubepods'));
}

/** A cgroup's files cannot be removed, only its directories, deepest first. */
export async function removeTree(path: string): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []); // There is none of that name.
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(path, entry.name));
  for (let attempt = 0; attempt < 50; attempt++) {
    try {
      return await rmdir(path);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ENOENT' || code === 'ENOTDIR') return;
      if (code !== 'EBUSY') throw error;
      await delay(100); // Its last process is being reaped.
    }
  }
  throw new CroftError('invalid-state', `The cgroup ${path} does not become empty.`);
}
