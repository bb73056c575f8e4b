/** Brings the API up: the app, its certificate where it leaves loopback, its sockets, and the first sign-in. */
import { join } from 'node:path';
import { parseListen, pathsOf, type Config } from '../../appliance/config.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import type { BoxPort, EventView, ImageUploads, TaskView, VmExports } from '../../appliance/ports.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { ensureFirstSignIn, takeFirstAdministrator } from '../auth/setup-links.ts';
import { consoleDist, ensureConsole } from '../console/build.ts';
import { createApp } from './app.ts';
import { listen } from './listen.ts';
import type { ApiRecords } from './records.ts';

export type ApiOptions = {
  config: Config;
  store: ResourceStore;
  /** Records of the API's own: sessions, audit. */
  box: ApiRecords;
  port: BoxPort;
  uploads: ImageUploads;
  exports: VmExports;
  tasks: TaskView;
  events: EventView;
  logger: Logger;
  version: string;
  /** See AppOptions. */
  staleSince?: (() => Date | undefined) | undefined;
};

export type Api = {
  url: string;
  /** One-time link for the first administrator; undefined once there is one. */
  setupUrl: string | undefined;
  /** SHA-256 of its certificate, where it has one. */
  fingerprint: string | undefined;
  close(): Promise<void>;
};

/** Serves on the configured address and on local root's socket. @throws CroftError `in-use` when the address is taken */
export async function startApi({ staleSince, ...options }: ApiOptions): Promise<Api> {
  const { config, store, box, logger } = options;
  const paths = pathsOf(config);
  const { host, port: tcpPort, loopback } = parseListen(config.listen);
  const app = createApp({ ...options, consoleDist, ...(staleSince ? { staleSince } : {}) });
  // Loaded only where it is needed: making certificates costs memory that a loopback box can keep.
  const certificate = async () => (await import('./certificate.ts')).ensureCertificate(paths.keys, [host]);
  const tls = loopback ? undefined : await certificate();
  const listening = await listen(app, {
    tcp: { host, port: tcpPort },
    ...(tls ? { tls } : { loopbackTls: certificate }),
    unixSocket: paths.apiSocket,
  });
  const url = listening.url as string;
  await takeFirstAdministrator(store, join(config.data, 'first-administrator.json'));
  // The port may have been chosen by the system, so the link is completed here.
  const { setupUrl: path } = await ensureFirstSignIn({ store, box });
  const building = buildConsole(logger);
  return {
    url,
    setupUrl: path && `${url}${path}`,
    fingerprint: tls?.fingerprint,
    close: async () => {
      await building.cancel();
      await app.close();
    },
  };
}

/** Builds the console where it is missing or stale, while the API answers already. Without it, the plain pages stay. */
function buildConsole(logger: Logger): { cancel(): Promise<void> } {
  const cancelled = new AbortController();
  const done = ensureConsole({ logger, signal: cancelled.signal }).catch((error: unknown) => {
    if (!cancelled.signal.aborted) logger.warn({ err: error }, 'the console could not be built; API and command line work');
  });
  return {
    cancel: async () => {
      cancelled.abort();
      await done;
    },
  };
}
