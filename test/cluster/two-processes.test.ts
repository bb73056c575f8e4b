/** The appliance's shape: the box as root, the API without rights, sharing the cluster and one socket. Real guests. */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmod, chown, mkdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inNode } from '../../appliance/cluster/k3s-clean.ts';
import { eventually } from '../helpers/eventually.ts';
import { tinyImage } from '../helpers/tiny-image.ts';
import { createLabCluster, type LabCluster } from './lab-cluster.ts';
import { timed } from './lab-k3s.ts';

const entry = join(import.meta.dirname, '../../appliance/main.ts');
/** Debian's `nobody`, in place of the appliance's `croft`. */
const account = { name: 'nobody', id: 65_534 };

let cluster: LabCluster;
let boxEnv: Record<string, string>;
let apiEnv: Record<string, string>;
const children: ChildProcess[] = [];
let output = '';

function start(env: Record<string, string>, words: RegExp, ...argv: [string, ...string[]]): Promise<ChildProcess> {
  const from = output.length;
  const [program, ...args] = inNode(cluster.node.enter, ...argv);
  const child = spawn(program, args, { env: { ...process.env, ...env } });
  children.push(child);
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += String(chunk)));
  return eventually(
    () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
      if (!words.test(output.slice(from))) throw new Error('not ready');
      return child;
    },
    { timeout: 120_000 },
  ).catch((error: unknown) => {
    throw new Error(`${argv.join(' ')}: ${String(error)}\n${output.slice(from)}`);
  });
}

const startBox = (): Promise<ChildProcess> =>
  start(boxEnv, /"msg":"ready"/, process.execPath, entry, 'serve-box', '--api-user', account.name);
const startApi = (): Promise<ChildProcess> =>
  start(
    apiEnv,
    /Croft is ready/,
    ...(['setpriv', `--reuid=${account.id}`, `--regid=${account.id}`, '--clear-groups', '--no-new-privs'] as const),
    ...['--bounding-set=-all', process.execPath, entry, 'serve-api'],
  );
const croft = (...args: string[]) =>
  cluster.node.run([process.execPath, entry, ...args], { timeout: 180_000, env: { ...boxEnv, CROFT_LOG: 'warn' } });

beforeAll(async () => {
  const image = await tinyImage();
  cluster = await createLabCluster(hostname().toLowerCase());
  const { directory } = cluster.node;
  await chmod(directory, 0o711);
  const shared = { CROFT_STORE: 'kubernetes', CROFT_OVS: 'own', CROFT_LOG: 'info', CROFT_ACCEL: 'tcg', CROFT_INSTALL: 'no' };
  const run = join(directory, 'r');
  boxEnv = {
    ...shared,
    CROFT_KUBECONFIG: join(directory, 'etc/k3s.yaml'),
    CROFT_DATA: join(directory, 'croft'),
    CROFT_RUN: run,
    CROFT_CACHE: join(directory, 'cache'),
  };
  apiEnv = {
    ...shared,
    CROFT_KUBECONFIG: join(run, 'port/kubeconfig'),
    CROFT_DATA: join(directory, 'api'),
    CROFT_RUN: run,
    CROFT_CACHE: join(directory, 'api/cache'),
    HOME: join(directory, 'api'),
    NODE_COMPILE_CACHE: join(directory, 'api/compile'),
  };
  // What the service manager does on the appliance (StateDirectory=, RuntimeDirectory=).
  await mkdir(run, { mode: 0o711 });
  for (const path of [join(directory, 'api'), join(run, 'api')]) {
    await mkdir(path, { mode: 0o700 });
    await chown(path, account.id, account.id);
  }
  await timed('the box', startBox);
  await timed('the API', startApi);
  await croft('image', 'add', image, '--name', 'tiny-test', '--timeout', '120s');
});

afterAll(async () => {
  if (boxEnv)
    await croft('uninstall', '--purge', '--force').catch((error: unknown) => console.warn(`uninstall: ${String(error)}`));
  for (const child of children) child.kill('SIGKILL');
  await cluster?.close();
});

test('a guest is made, shown and steered through an API that has no rights', async () => {
  await croft('vm', 'create', 'web', '--image', 'tiny-test', '--cpus', '1', '--memory', '128Mi', '--network', 'default');
  await croft('vm', 'wait', 'web', 'ip', '--timeout', '120s');
  await croft('vm', 'pause', 'web');
  await croft('vm', 'wait', 'web', 'state=paused', '--timeout', '30s');
  await croft('vm', 'unpause', 'web');
  await croft('vm', 'wait', 'web', 'running', '--timeout', '30s');
  expect((await croft('event', 'list')).stdout).toContain('web');
  const { stdout } = await cluster.node.run(['ps', '-eo', 'uid,args']);
  const api = stdout.split('\n').find((line) => line.includes('serve-api') && !line.includes('setpriv'));
  expect(api?.trim().split(/\s+/)[0]).toBe(String(account.id));
});

test('its account in the cluster makes no pods and changes no roles', async () => {
  const may = async (verb: string, what: string): Promise<string> => {
    const args = ['auth', 'can-i', verb, what, '-A', `--as=system:serviceaccount:croft-system:croft-api`];
    return (await cluster.k3s.kubectl(args, { okCodes: [0, 1] })).stdout.trim();
  };
  expect(await may('create', 'virtualmachines.kubevirt.io')).toBe('yes');
  expect(await may('create', 'pods')).toBe('no');
  expect(await may('create', 'clusterrolebindings.rbac.authorization.k8s.io')).toBe('no');
  expect(await may('patch', 'nodes')).toBe('no');
});

test('while the box is away the API shows what is, and refuses what only the box can do', async () => {
  const { pid } = JSON.parse(await readFile(join(boxEnv.CROFT_RUN as string, 'service.json'), 'utf8')) as { pid: number };
  process.kill(pid, 'SIGKILL');
  await eventually(() => children[0]?.exitCode !== null || children[0]?.signalCode !== null);
  expect((await croft('vm', 'list')).stdout).toContain('web');
  await expect(croft('vm', 'pause', 'web')).rejects.toThrow(/unavailable/);
});
