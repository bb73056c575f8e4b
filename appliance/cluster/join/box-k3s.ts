/** The k3s of a box that joined: where its files are, and what it was made as, kept in k3s.json so that a later start or promotion finds it. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../../errors.ts';
import { writeFileAtomic } from '../../host/files.ts';
import type { Logger } from '../../host/logger.ts';
import type { K3sPlan } from '../k3s-config.ts';
import { K3s } from '../k3s.ts';

/** Of a plan, what isn't told by the box's directories. */
export type BoxK3s = Pick<K3sPlan, 'role' | 'nodeName' | 'nodeIp' | 'token' | 'joinUrl' | 'kubeletArgs' | 'nodeTaints'>;

const fileIn = (data: string): string => join(data, 'k3s.json');

/** A box without systemd, as in tests, keeps all of k3s in its own data directory. */
const isSystemd = async (): Promise<boolean> =>
  (await stat('/run/systemd/system').catch(() => undefined))?.isDirectory() ?? false;

export const kubeconfigOf = (data: string): string => join(data, 'k3s', 'admin.yaml');

export async function openBoxK3s(data: string, made: BoxK3s, logger: Logger): Promise<K3s> {
  const systemd = await isSystemd();
  const own = join(data, 'k3s');
  const cgroupRoot = made.kubeletArgs?.flatMap((arg) => /^cgroup-root=(.*)$/.exec(arg)?.[1] ?? [])[0];
  return new K3s({
    binary: systemd ? '/usr/local/bin/k3s' : join(own, 'bin', 'k3s'),
    configFile: systemd ? '/etc/rancher/k3s/config.yaml' : join(own, 'config.yaml'),
    runDir: join(own, 'run'),
    supervisor: systemd ? 'systemd' : 'process',
    ...(cgroupRoot === undefined ? {} : { cgroupRoot }),
    plan: { ...made, dataDir: systemd ? '/var/lib/rancher/k3s' : own, kubeconfig: kubeconfigOf(data) },
    logger,
  });
}

export const writeBoxK3s = (data: string, made: BoxK3s): Promise<void> =>
  writeFileAtomic(fileIn(data), `${JSON.stringify(made, undefined, 2)}\n`);

/** Undefined where this box's k3s wasn't made by a join. */
export async function readBoxK3s(data: string): Promise<BoxK3s | undefined> {
  try {
    return JSON.parse(await readFile(fileIn(data), 'utf8')) as BoxK3s;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Where no systemd does it, the service brings its box's k3s up; one that runs is left as it is. */
export async function startOwnK3s(data: string, logger: Logger): Promise<void> {
  const made = await readBoxK3s(data);
  if (!made || (await isSystemd())) return;
  const k3s = await openBoxK3s(data, made, logger);
  await k3s.start();
  k3s.release();
}

/** k3s' token by which others join, on a server. @throws CroftError `unavailable` */
export async function nodeToken(data: string): Promise<string> {
  for (const directory of [join(data, 'k3s'), join(data, 'k3s', 'data'), '/var/lib/rancher/k3s']) {
    const text = await readFile(join(directory, 'server', 'node-token'), 'utf8').catch(() => undefined); // The other place, then.
    if (text !== undefined) return text.trim();
  }
  throw new CroftError('unavailable', 'This box has no k3s server of its own: ask another box of the cluster.');
}
