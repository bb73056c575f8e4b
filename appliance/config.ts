/** Settings: one schema for flag, environment and file; flag wins over environment over file over default. */
import { chmodSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { CroftError } from './errors.ts';
import { isLoopback } from './host/loopback.ts';

type Setting = { env: string; flag: string; description: string; default: string; check?: (value: string) => string | undefined };

const oneOf =
  (...values: string[]) =>
  (value: string) =>
    values.includes(value) ? undefined : `must be one of ${values.join(', ')}`;

/** The settings, in the order docs/configuration.md lists them. */
export const settings = {
  data: {
    env: 'CROFT_DATA',
    flag: 'data',
    description: 'Where everything that must survive is kept.',
    default: '/var/lib/croft',
  },
  run: { env: 'CROFT_RUN', flag: 'run', description: 'Sockets and the state of running guests.', default: '/run/croft' },
  cache: {
    env: 'CROFT_CACHE',
    flag: 'cache',
    description: 'Downloads and built images that can be made again.',
    default: join(homedir(), '.cache/croft'),
  },
  listen: {
    env: 'CROFT_LISTEN',
    flag: 'listen',
    description: 'Address and port of the API and console. Plain HTTP on loopback only.',
    default: '127.0.0.1:8440',
    check: checkListen,
  },
  accel: {
    env: 'CROFT_ACCEL',
    flag: 'accel',
    description: 'Accelerator: auto probes once per kernel and QEMU.',
    default: 'auto',
    check: oneOf('auto', 'kvm', 'tcg'),
  },
  ovs: {
    env: 'CROFT_OVS',
    flag: 'ovs',
    description: 'Open vSwitch: auto, system, own, none, or the path of an ovsdb socket.',
    default: 'auto',
  },
  reserve: {
    env: 'CROFT_MEMORY_RESERVE',
    flag: 'memory-reserve',
    description: 'Memory kept for the box itself, bytes or quantity.',
    default: '512Mi',
  },
  overcommit: {
    env: 'CROFT_MEMORY_OVERCOMMIT',
    flag: 'memory-overcommit',
    description: 'Guests may be given this many times the memory.',
    default: '1',
    check: (v) => (Number(v) >= 1 && Number(v) <= 10 ? undefined : 'must be 1 to 10'),
  },
  store: {
    env: 'CROFT_STORE',
    flag: 'store',
    description: 'Where resources live: sqlite on this box alone, kubernetes in the cluster of CROFT_KUBECONFIG.',
    default: 'sqlite',
    check: oneOf('sqlite', 'kubernetes'),
  },
  kubeconfig: {
    env: 'CROFT_KUBECONFIG',
    flag: 'kubeconfig',
    description: 'Kubeconfig of the cluster, for the store kubernetes.',
    default: '/etc/rancher/k3s/k3s.yaml',
  },
  node: {
    env: 'CROFT_NODE',
    flag: 'node',
    description: 'Name of this box; the default is made of the host name.',
    default: '',
    check: (v) => (/^$|^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(v) ? undefined : 'must be lower-case letters, digits, "-"'),
  },
  address: {
    env: 'CROFT_ADDRESS',
    flag: 'address',
    description: 'IPv4 address towards the other boxes of a cluster; it never changes. Empty: no other boxes.',
    default: '',
    check: (v) => (v === '' || isIPv4(v) ? undefined : 'must be an IPv4 address'),
  },
  timing: {
    env: 'CROFT_TIMING',
    flag: 'timing',
    description: 'How soon a silent box is taken for dead: box (5 s), or lab (20 s) for slow test machines.',
    default: 'box',
    check: oneOf('box', 'lab'),
  },
  log: {
    env: 'CROFT_LOG',
    flag: 'log',
    description: 'Log level.',
    default: 'info',
    check: oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent'),
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;
export type Config = Record<SettingName, string>;

/** Host and port of a listen address. @throws CroftError `invalid-input` */
export function parseListen(listen: string): { host: string; port: number; loopback: boolean } {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:]+):(\d{1,5})$/.exec(listen);
  const port = Number(match?.[2]);
  if (!match || port > 65_535) {
    throw new CroftError('invalid-input', `CROFT_LISTEN: ${JSON.stringify(listen)} is not address:port, e.g. 127.0.0.1:8440.`);
  }
  const host = (match[1] as string).replace(/^\[|\]$/g, '');
  return { host, port, loopback: isLoopback(host) };
}

function checkListen(value: string): string | undefined {
  try {
    parseListen(value);
    return undefined;
  } catch {
    return 'must be address:port, e.g. 127.0.0.1:8440';
  }
}

function readSettingsFile(path: string | undefined): Record<string, unknown> {
  if (!path) return {};
  const content: unknown = parse(readFileSync(path, 'utf8')) ?? {};
  const unknown = Object.keys(content as object).filter((key) => !(key in settings));
  if (unknown.length > 0) {
    throw new CroftError(
      'invalid-input',
      `${path}: ${unknown.join(', ')} is no setting; there are ${Object.keys(settings).join(', ')}.`,
    );
  }
  return content as Record<string, unknown>;
}

/**
 * Settles all settings. `flags` are keyed by setting name; the file is named by CROFT_CONFIG.
 * @throws CroftError `invalid-input` naming the setting, the value and what would be right.
 */
export function loadConfig(flags: Partial<Config> = {}, env: NodeJS.ProcessEnv = process.env): Config {
  const file = readSettingsFile(env.CROFT_CONFIG);
  const config = {} as Config;
  for (const [name, setting] of Object.entries(settings) as [SettingName, Setting][]) {
    const value =
      flags[name] ?? env[setting.env] ?? (file[name] === undefined ? undefined : String(file[name])) ?? setting.default;
    const wrong = setting.check?.(value);
    if (wrong) throw new CroftError('invalid-input', `${setting.env}: ${JSON.stringify(value)} ${wrong}.`);
    config[name] = value;
  }
  return config;
}

/** The paths of one box, derived from its settings; see docs/configuration.md. */
export const pathsOf = (config: Config) => ({
  store: join(config.data, 'store.db'),
  box: join(config.data, 'box.db'),
  keys: join(config.data, 'keys'),
  pools: join(config.data, 'pools'),
  apiSocket: join(config.run, 'api', 'api.sock'),
  ovs: join(config.run, 'ovs'),
  vms: join(config.run, 'vms'),
});
export type Paths = ReturnType<typeof pathsOf>;

/** The longest path a unix socket may have (sun_path, unix(7)), less the terminating zero. */
export const maxSocketPath = 107;

/** Makes the box's directories, owner-only. @throws CroftError `invalid-input` when sockets would have too long paths */
export function makeDirectories(config: Config): Paths {
  const paths = pathsOf(config);
  const longest = join(paths.vms, '00000000-0000-7000-8000-000000000000', 'io', 'control.sock');
  if (longest.length > maxSocketPath) {
    throw new CroftError(
      'invalid-input',
      `CROFT_RUN: ${JSON.stringify(config.run)} is too long: sockets in it would pass ${maxSocketPath} bytes. Choose a shorter directory.`,
    );
  }
  for (const path of [config.data, paths.keys, paths.pools]) mkdirSync(path, { recursive: true, mode: 0o711 });
  for (const path of [config.run, paths.vms]) mkdirSync(path, { recursive: true, mode: 0o711 });
  mkdirSync(join(config.run, 'api'), { recursive: true, mode: 0o700 });
  // Something else may have made them first, for itself alone; guests and Ceph's account pass through.
  for (const path of [config.data, config.run]) {
    const { mode } = statSync(path);
    if ((mode & 0o111) !== 0o111) chmodSync(path, (mode & 0o777) | 0o111);
  }
  return paths;
}

/** Makes the directories of an API that is a process of its own; its socket's is its service manager's to make. */
export function makeApiDirectories(config: Config): Paths {
  const paths = pathsOf(config);
  for (const path of [config.data, paths.keys]) mkdirSync(path, { recursive: true, mode: 0o700 });
  return paths;
}
