/**
 * The API as a process of its own (the appliance): without rights, with sessions and audit log in a database of its
 * own, the cluster under an account of its own (cluster/api-account.ts), and of the box only the port.
 */
import { join } from 'node:path';
import { makeApiDirectories, parseListen, type Config } from './config.ts';
import { CroftError } from './errors.ts';
import type { Logger } from './host/logger.ts';
import { orUndo, type Stack } from './compose/stack.ts';
import { keepIssue } from './install/issue.ts';
import { thisNodeName } from './host/node-name.ts';
import { connectPort } from './port/client.ts';
import { combineTasks } from './port/tasks.ts';
import type { BoxPort } from './ports.ts';
import { openBoxStore } from './store/box/box-store.ts';
import type { ResourceStore } from './store/store.ts';
import { version } from './version.ts';
import { resumeTracked } from './vm/snapshots/track.ts';
import { startApi } from '../ui-api/server/start.ts';

/** What the box makes for the API, in a directory that others may pass through and not list. */
export const portPaths = (config: Config) => ({
  directory: join(config.run, 'port'),
  portSocket: join(config.run, 'port', 'box.sock'),
  portKubeconfig: join(config.run, 'port', 'kubeconfig'),
});

/** The Kubernetes face of a box in a cluster. */
export async function startFace(
  config: Config,
  { store, port, nodeName, logger }: { store: ResourceStore; port: BoxPort; nodeName: string; logger: Logger },
  undo: Stack,
): Promise<void> {
  const { startKubeFace } = await import('../ui-api/server/kube/start.ts');
  const context = { store, port, version };
  const face = await startKubeFace({ kubeconfig: config.kubeconfig, nodeName, context, logger });
  undo.push('kubernetes face', () => face.close());
}

export type ApiPart = { url: string; setupUrl: string | undefined; stop(): Promise<void> };

/** @throws CroftError `invalid-input` for another store than the cluster's, `unavailable` when the cluster does not answer */
export const composeApi = (config: Config, logger: Logger): Promise<ApiPart> =>
  orUndo(logger, (undo) => compose(config, logger, undo));

async function compose(config: Config, logger: Logger, undo: Stack): Promise<ApiPart> {
  if (config.store !== 'kubernetes')
    throw new CroftError('invalid-input', 'CROFT_STORE: box and API as two processes share a cluster; it must be kubernetes.');
  parseListen(config.listen);
  const paths = makeApiDirectories(config);
  const { openKubernetesStore } = await import('./store/kubernetes.ts');
  const store = openKubernetesStore({ kubeconfig: config.kubeconfig });
  undo.push('store', () => store.close());
  const box = openBoxStore(paths.box, { logger });
  undo.push('records', () => box.close());
  const remote = connectPort(portPaths(config).portSocket, logger);
  undo.push('port', async () => remote.close());
  await remote.ready;
  const tasks = combineTasks(box.tasks, remote.tasks);
  const { events, port, uploads, exports } = remote;
  resumeTracked({ tasks: box.tasks, store, logger }).catch((error: unknown) =>
    logger.warn({ err: error }, 'tasks that were cut off could not be taken up'),
  );
  const api = await startApi({ config, store, box, port, uploads, exports, tasks, events, logger, version });
  undo.push('api', () => api.close());
  await startFace(config, { store, port, nodeName: config.node === '' ? thisNodeName() : config.node, logger }, undo);
  const { port: tcpPort } = parseListen(config.listen);
  const { fingerprint, setupUrl } = api;
  const stopIssue = keepIssue({
    directory: join(config.run, 'api'),
    version,
    port: tcpPort,
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(setupUrl === undefined ? {} : { setupPath: setupUrl.slice(api.url.length) }),
    logger,
  });
  undo.push('screen', async () => stopIssue());
  logger.info({ url: api.url }, 'ready');
  return { url: api.url, setupUrl: api.setupUrl, stop: () => undo.unwind() };
}
