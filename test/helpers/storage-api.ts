/** The API on the real storage controllers, without guests: what uploads, imports and exports of disks are tested on. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '../../appliance/config.ts';
import { silentLogger } from '../../appliance/host/logger.ts';
import type { BoxPort } from '../../appliance/ports.ts';
import { token } from '../../appliance/resources/croft-kinds.ts';
import { startExports } from '../../appliance/vm/export/exports.ts';
import { issueTokenSecret } from '../../ui-api/auth/tokens.ts';
import { createApp } from '../../ui-api/server/app.ts';
import { listen } from '../../ui-api/server/listen.ts';
import { startStorageBox, type StorageBox } from './storage-box.ts';

export type StorageApi = StorageBox & { port: number; url: string /** Of an operator. */; secret: string };

/** On `port` (0: a free one). Started again on the same `root` and port, it is the service after a restart. */
export async function startStorageApi(root: string, port = 0): Promise<StorageApi> {
  const box = await startStorageBox(join(root, 'box'));
  const exports = await startExports({
    store: box.store,
    volumes: box.storage,
    tasks: box.box.tasks,
    directory: join(root, 'exports'),
    logger: silentLogger(),
  });
  const app = createApp({
    store: box.store,
    box: box.box,
    port: { onSample: () => () => undefined } as unknown as BoxPort,
    uploads: box.storage.uploads,
    exports,
    tasks: box.box.tasks,
    events: box.box.events,
    config: loadConfig({ data: root, run: join(root, 'run') }, {}),
    logger: silentLogger(),
    version: 'test',
  });
  const { address, url } = await listen(app, { tcp: { host: '127.0.0.1', port } });
  const kept = join(root, 'token');
  if (!existsSync(kept)) {
    await box.store.create(token, { metadata: { name: 't' }, spec: { role: 'operator' } });
    writeFileSync(kept, await issueTokenSecret(box.store, 't'), { mode: 0o600 });
  }
  const secret = readFileSync(kept, 'utf8');
  return {
    ...box,
    port: address?.port ?? 0,
    url: url as string,
    secret,
    close: async () => {
      await app.close();
      await exports.stop();
      await box.close();
    },
  };
}
