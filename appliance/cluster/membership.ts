/**
 * What a box remembers of the k3s it runs: `<data>/cluster.json`. The file is the commit point of `croft cluster init`:
 * while it isn't there the box's resources are in SQLite, once it is they are in Kubernetes.
 */
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Config } from '../config.ts';
import { CroftError, messageOf } from '../errors.ts';
import { syncDirectory, writeFileAtomic } from '../host/files.ts';
import type { Logger } from '../host/logger.ts';
import { K3s } from './k3s.ts';
import type { ClusterRanges } from './ranges.ts';

/** What k3s is configured from, besides the box's paths. */
export type K3sWish = {
  nodeName: string;
  /** The box's address in the cluster. */
  address: string;
  ranges: ClusterRanges;
  /** `key=value` each, handed to kubelet. */
  kubeletArgs: string[];
  /** Somebody named the address: it is the box's among others, which may join. */
  joinable?: boolean;
};

export type Membership = K3sWish & { /** When the resources came here; RFC 3339. */ since: string };

type Directories = Pick<Config, 'data' | 'run'>;

export const k3sPaths = ({ data, run }: Directories) => {
  const home = join(data, 'k3s');
  return {
    home,
    binary: join(home, 'bin', 'k3s'),
    configFile: join(home, 'config.yaml'),
    kubeconfig: join(home, 'k3s.yaml'),
    dataDir: join(home, 'data'),
    runDir: join(run, 'k3s'),
  };
};

const membershipFile = ({ data }: Directories): string => join(data, 'cluster.json');

const wishFile = (directories: Directories): string => join(k3sPaths(directories).home, 'wish.json');

/** What k3s was last configured from: needed to take it away again, whether or not the box moved. */
export async function writeWish(directories: Directories, wish: K3sWish): Promise<void> {
  await writeFileAtomic(wishFile(directories), `${JSON.stringify(wish, undefined, 2)}\n`);
}

/** @returns undefined when k3s was never started from here. @throws as readMembership */
export const readWish = (directories: Directories): Promise<K3sWish | undefined> => readRecord(wishFile(directories));

/** @returns undefined for a box whose resources are in SQLite. @throws CroftError `invalid-state` when the file is damaged */
export const readMembership = (directories: Directories): Promise<Membership | undefined> =>
  readRecord(membershipFile(directories));

async function readRecord<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CroftError('invalid-state', `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

export const writeMembership = (directories: Directories, membership: Membership): Promise<void> =>
  writeFileAtomic(membershipFile(directories), `${JSON.stringify(membership, undefined, 2)}\n`);

/** Durable when it returns. */
export async function removeMembership(directories: Directories): Promise<void> {
  const path = membershipFile(directories);
  await rm(path, { force: true });
  await syncDirectory(dirname(path));
}

/** The settings of a box that founded its own cluster: where its resources are, and its address where others may join. Pure. */
export const settingsOfFounder = (config: Config, membership: Membership): Config => ({
  ...config,
  store: 'kubernetes',
  kubeconfig: k3sPaths(config).kubeconfig,
  node: membership.nodeName,
  address: config.address === '' && membership.joinable ? membership.address : config.address,
});

/** The value of `cgroup-root` among kubelet's arguments; kubelet's own default is the root. */
const cgroupRootOf = (args: readonly string[]): string =>
  args.find((arg) => arg.startsWith('cgroup-root='))?.slice('cgroup-root='.length) ?? '/';

/** systemd runs it where systemd is PID 1 (sd_booted(3)); elsewhere the service does. */
export const supervisorHere = (): 'systemd' | 'process' => (existsSync('/run/systemd/system') ? 'systemd' : 'process');

/** kubelet refuses cgroup v1 by itself since Kubernetes 1.35; a kernel that has nothing else is told to be taken as it is. */
export function kubeletArgsFor(wished: readonly string[]): string[] {
  const unified = existsSync('/sys/fs/cgroup/cgroup.controllers');
  return [...(unified ? [] : ['fail-cgroupv1=false']), ...wished];
}

/** The k3s of this box. */
export function k3sOf(directories: Directories, wish: K3sWish, logger: Logger): K3s {
  const { binary, configFile, kubeconfig, dataDir, runDir } = k3sPaths(directories);
  return new K3s({
    binary,
    configFile,
    runDir,
    supervisor: supervisorHere(),
    cgroupRoot: cgroupRootOf(wish.kubeletArgs),
    logger,
    plan: {
      role: 'first',
      nodeName: wish.nodeName,
      nodeIp: wish.address,
      dataDir,
      kubeconfig,
      kubeletArgs: wish.kubeletArgs,
      ranges: wish.ranges,
    },
  });
}
