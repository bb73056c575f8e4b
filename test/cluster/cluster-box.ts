/** Croft's service on a lab node, with the node's Kubernetes as its store; driven by the CLI and kubectl. */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inNode } from '../../appliance/cluster/k3s-clean.ts';
import type { RunOptions, RunResult } from '../../appliance/host/exec.ts';
import { eventually } from '../helpers/eventually.ts';
import type { LabCluster } from './lab-cluster.ts';

const entry = join(import.meta.dirname, '../../appliance/main.ts');

export type ClusterBox = {
  start: () => Promise<void>;
  /** SIGKILL: guests, switch and DHCP run on. */
  kill: () => Promise<void>;
  croft: (args: string[], options?: RunOptions) => Promise<RunResult>;
  /** What the guest's QEMU was started as; undefined when none is. */
  pidOf: (vmId: string) => Promise<number | undefined>;
  output: () => string;
  /** Ends service, guests, switch and DHCP. */
  dispose: () => Promise<void>;
};

/** @param settings more environment for the service */
export function createClusterBox({ node }: Pick<LabCluster, 'node'>, settings: Record<string, string> = {}): ClusterBox {
  const env = {
    CROFT_STORE: 'kubernetes',
    CROFT_KUBECONFIG: join(node.directory, 'etc/k3s.yaml'),
    CROFT_DATA: join(node.directory, 'croft'),
    CROFT_RUN: join(node.directory, 'r'),
    CROFT_CACHE: join(node.directory, 'cache'),
    CROFT_OVS: 'own',
    CROFT_LOG: 'info',
    CROFT_ACCEL: 'tcg',
    CROFT_INSTALL: 'no',
    ...settings,
  };
  let child: ChildProcess | undefined;
  let output = '';
  const take = (chunk: Buffer) => {
    output += String(chunk);
  };
  const croft = (args: string[], options: RunOptions = {}) =>
    node.run([process.execPath, entry, ...args], { timeout: 180_000, ...options, env: { ...env, ...options.env } });

  return {
    start: async () => {
      const from = output.length;
      // Guests' users pass through, as they would below /var/lib and /run.
      await chmod(node.directory, 0o711);
      const [program, ...args] = inNode(node.enter, process.execPath, entry, 'serve');
      child = spawn(program, args, { env: { ...process.env, ...env } });
      child.stdout?.on('data', take);
      child.stderr?.on('data', take);
      await eventually(
        () => {
          if (child?.exitCode !== null) throw new Error('the service ended');
          return output.slice(from).includes('Croft is ready');
        },
        { timeout: 180_000 },
      ).catch((error: unknown) => {
        throw new Error(`the service did not start: ${String(error)}\n${output.slice(from)}`);
      });
    },
    kill: async () => {
      const gone = new Promise((resolve) => child?.once('exit', resolve));
      const { pid } = JSON.parse(await readFile(join(env.CROFT_RUN, 'service.json'), 'utf8')) as { pid: number };
      process.kill(pid, 'SIGKILL');
      await gone;
    },
    croft,
    pidOf: async (vmId) => {
      const text = await readFile(join(env.CROFT_RUN, 'vms', vmId, 'launch.json'), 'utf8').catch(() => undefined); // None was launched.
      return text === undefined ? undefined : (JSON.parse(text) as { pid: number }).pid;
    },
    output: () => output,
    dispose: async () => {
      await croft(['uninstall', '--purge', '--force']).catch((error: unknown) => {
        // What is left lives in the node and ends with it.
        console.warn(`uninstall: ${String(error)}`);
      });
      child?.kill('SIGKILL');
    },
  };
}
