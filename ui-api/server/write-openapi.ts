/** Writes ui-api/openapi.json from the routes: `node ui-api/server/write-openapi.ts`; with --check it only compares. */
import { readFile, writeFile } from 'node:fs/promises';
import { loadConfig } from '../../appliance/config.ts';
import { silentLogger } from '../../appliance/host/logger.ts';
import { createApp } from './app.ts';
import type { AppOptions } from './context.ts';
import { describeApi } from './openapi.ts';

/** The description as it is checked in. Routes only name what they would use, so none of it needs to be there. */
export async function openApiText(): Promise<string> {
  const nothing = {} as never;
  const options: AppOptions = {
    store: nothing,
    box: nothing,
    port: nothing,
    uploads: nothing,
    exports: nothing,
    tasks: nothing,
    events: nothing,
    config: loadConfig({}, {}),
    logger: silentLogger(),
    version: '1',
  };
  const app = createApp({ ...options, startNotifications: false });
  await app.ready();
  const text = `${JSON.stringify(describeApi(app.croft.routes, 'v1'), null, 2)}\n`;
  await app.close();
  return text;
}

if (import.meta.main) {
  const file = new URL('../openapi.json', import.meta.url);
  const text = await openApiText();
  if (!process.argv.includes('--check')) await writeFile(file, text);
  else if ((await readFile(file, 'utf8')) !== text) {
    console.error('ui-api/openapi.json is not what the routes say: run `node ui-api/server/write-openapi.ts`.');
    process.exitCode = 1;
  }
}
