/** What the steps of `croft cluster init` do (init.ts): k3s in place, resources over, the record of it. */
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pathsOf, type Config } from '../config.ts';
import { CroftError } from '../errors.ts';
import { writeFileAtomic } from '../host/files.ts';
import { HostChanges } from '../host/host-changes.ts';
import type { Logger } from '../host/logger.ts';
import type { InitRequest } from '../ports.ts';
import { mirror, readAll } from '../store/move.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import type { ResourceStore } from '../store/store.ts';
import { holdArchive, holdImageArchive } from './hold-image.ts';
import type { MoveParts, PrepareParts } from './init.ts';
import { downloadRelease, readLock, thisArchitecture, type Fetch } from './k3s-release.ts';
import { k3sOf, k3sPaths, removeMembership, writeMembership, writeWish, type K3sWish } from './membership.ts';
import type { K3s } from './k3s.ts';

export type PartsOptions = {
  config: Config;
  logger: Logger;
  fetch: Fetch;
  /** Of `k3s.lock`. */
  lockFile: string;
  progress: (fraction: number, step: string) => void;
};

/** What kubelet and kube-proxy set for the whole machine (kubernetes pkg/kubelet/cm setupKernelTunables; k3s agent). */
const sysctls = [
  'vm.overcommit_memory',
  'vm.panic_on_oom',
  'kernel.panic',
  'kernel.panic_on_oops',
  'kernel.keys.root_maxkeys',
  'kernel.keys.root_maxbytes',
  'net.ipv4.ip_forward',
];

/** Starts a k3s for as long as `work` runs; afterwards it runs on, for the next to take over. */
async function withK3s<T>({ config, logger }: PartsOptions, wish: K3sWish, work: (k3s: K3s) => Promise<T>): Promise<T> {
  const k3s = k3sOf(config, wish, logger);
  try {
    return await work(k3s);
  } finally {
    k3s.release();
  }
}

const placeholder: K3sWish = {
  nodeName: 'box',
  address: '127.0.0.1',
  ranges: { pods: '', services: '', dns: '' },
  kubeletArgs: [],
};

export function prepareParts(options: PartsOptions): PrepareParts {
  const { config, fetch, lockFile, progress } = options;
  const paths = k3sPaths(config);
  return {
    async install(request) {
      const files = await filesOf(request, { fetch, lockFile, cache: config.cache, progress });
      progress(0.4, 'installing k3s');
      await withK3s(options, placeholder, (k3s) => k3s.install(files.binary, files.images));
      await writeFileAtomic(join(paths.dataDir, 'agent', 'images', holdArchive), holdImageArchive(thisArchitecture()));
    },
    uninstall: () => rm(paths.home, { recursive: true, force: true }),
    async start(wish) {
      progress(0.5, 'starting k3s');
      const changes = new HostChanges(join(config.data, 'host-changes.json'));
      for (const name of sysctls) await noteSysctl(changes, name);
      await writeWish(config, wish);
      await withK3s(options, wish, async (k3s) => {
        await k3s.configure();
        await k3s.start();
      });
    },
    reset: (wish) => withK3s(options, wish, (k3s) => k3s.reset()),
    async installKinds() {
      progress(0.8, 'making its kinds known');
      // Loaded only here: a box alone has no use for the Kubernetes client.
      const { installCrds } = await import('../store/kubernetes-setup.ts');
      await installCrds(paths.kubeconfig);
      progress(1, 'k3s runs; the resources move next');
    },
  };
}

/** Kept as found, for uninstall to put back; k3s changes it by itself. */
async function noteSysctl(changes: HostChanges, name: string): Promise<void> {
  try {
    const value = await readFile(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8');
    await changes.record(`sysctl:${name}`, value.trim());
  } catch (error) {
    // This kernel has no such setting, so nothing will change it.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

type Sources = { fetch: Fetch; lockFile: string; cache: string; progress: PartsOptions['progress'] };

async function filesOf({ k3s, images = [] }: InitRequest, sources: Sources): Promise<{ binary: string; images: string[] }> {
  if (k3s !== undefined) return { binary: k3s, images };
  const { fetch, lockFile, cache, progress } = sources;
  return await downloadRelease({
    lock: await readLock(lockFile),
    architecture: thisArchitecture(),
    directory: join(cache, 'k3s'),
    fetch,
    progress: (fraction, step) => progress(0.4 * fraction, step),
  });
}

/** @throws CroftError `invalid-input`, `missing-component` where the request cannot be met, before anything is done */
export async function checkSources({ k3s, images = [] }: InitRequest, lockFile: string): Promise<void> {
  for (const [name, path] of [...(k3s === undefined ? [] : [['k3s', k3s]]), ...images.map((each) => ['images', each])]) {
    const found = await stat(path as string).catch(() => undefined); // Whatever keeps us from it: it cannot be used.
    if (!found?.isFile()) throw new CroftError('invalid-input', `${name}: ${JSON.stringify(path)} is no file on this box.`);
  }
  if (k3s === undefined) await readLock(lockFile);
}

/** The SQLite store is opened by this alone: the box's own is closed while resources move. */
export function moveParts(options: PartsOptions): MoveParts {
  const { config, logger } = options;
  const { kubeconfig } = k3sPaths(config);
  const withTarget = async (work: (target: ResourceStore, namespaces: (names: string[]) => Promise<void>) => Promise<void>) => {
    const [{ openKubernetesStore }, { ensureNamespaces }] = await Promise.all([
      import('../store/kubernetes.ts'),
      import('../store/kubernetes-setup.ts'),
    ]);
    const target = openKubernetesStore({ kubeconfig });
    try {
      await work(target, (names) => ensureNamespaces(kubeconfig, names));
    } finally {
      await target.close();
    }
  };
  return {
    start: (wish) => withK3s(options, wish, (k3s) => k3s.start()),
    copy: () =>
      withTarget(async (target, namespaces) => {
        const source = openSqliteStore({
          path: pathsOf(config).store,
          onBackgroundError: (error) => logger.error({ err: error }, 'store'),
        });
        try {
          const objects = await readAll(source);
          await namespaces([...new Set(objects.flatMap(({ metadata }) => metadata.namespace ?? []))]);
          await mirror(objects, target);
          logger.info({ objects: objects.length }, 'the resources are in Kubernetes');
        } finally {
          await source.close();
        }
      }),
    discard: () => withTarget((target) => mirror([], target)),
    async commit(wish) {
      await mkdir(config.data, { recursive: true });
      await writeMembership(config, { ...wish, since: new Date().toISOString() });
    },
    revoke: () => removeMembership(config),
  };
}
