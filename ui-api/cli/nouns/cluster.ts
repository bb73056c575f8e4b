/** `croft cluster`: the box's Kubernetes. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Cluster, ClusterInit, Task } from '../../client/types.ts';
import { CliError, exitCodes } from '../exit.ts';
import { collect, outputOption, waitOptions } from '../options.ts';
import { clusterColumns } from '../output/columns.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { waitForTask, waitUntil } from '../wait.ts';

/** ms for which the API is away while resources move and the box is composed anew on them. */
const moveTime = 180_000;

const look = async (session: Session): Promise<Cluster> =>
  (await session.client.request<Cluster>('GET', '/v1/cluster', { signal: session.io.signal })).body;

export function register(program: Command, shell: Shell): void {
  const cluster = program.command('cluster').description('the box’s Kubernetes');
  addInit(cluster, shell);
  const status = outputOption(cluster.command('status').description('how the box’s Kubernetes is, in words'));
  onAction(status, shell, async ({ options, session }) => {
    const found = await look(session);
    session.printOne(found, clusterColumns);
    if (!options.output || options.output === 'table') session.print(`  ${found.words}\n`);
  });
}

type InitOptions = { k3s?: string; images?: string[]; address?: string; kubeletArg?: string[] };

function addInit(parent: Command, shell: Shell): void {
  const init = parent
    .command('init')
    .description('bring the box onto Kubernetes of its own; VMs run on')
    .option('--k3s <file>', 'a k3s program on the box, instead of the release that k3s.lock names')
    .option('--images <archive>', 'images for a box without internet; repeatable', collect)
    .option(
      '--address <address>',
      'the box’s address in the cluster; named, other boxes may join (default: of the interface with the default route)',
    )
    .option('--kubelet-arg <key=value>', 'handed to kubelet; repeatable', collect);
  waitOptions(outputOption(init));
  onAction<InitOptions>(init, shell, async ({ options, session }) => {
    const body: ClusterInit = {
      ...(options.k3s === undefined ? {} : { k3s: resolve(options.k3s) }),
      ...(options.images ? { images: options.images.map((path) => resolve(path)) } : {}),
      ...(options.address === undefined ? {} : { address: options.address }),
      ...(options.kubeletArg ? { kubeletArgs: options.kubeletArg } : {}),
    };
    const { id } = (await session.client.request<Task>('POST', '/v1/cluster/init', { body })).body;
    if (options.wait === false) return session.say(`The box is on its way: croft cluster status, croft task watch ${id}.`);
    await waitForTask(session, id);
    const found = await waitUntil<Cluster>(session, {
      what: 'The cluster',
      goal: 'ready',
      patience: moveTime,
      look: () => look(session),
      reached: (now) => now?.state === 'ready' || now?.state === 'none',
      describe: (now) => now?.words ?? 'moving',
      resume: 'croft cluster status --output json',
    });
    if (found?.state === 'none') throw new CliError(exitCodes.failed, found.failed?.detail ?? found.words, [found.words]);
    if (options.output && found) session.printOne(found, clusterColumns);
  });
}
