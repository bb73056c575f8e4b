/**
 * Makes the README's pictures from a running console: `node test/e2e/screenshots.ts [directory]`.
 * On simulated drivers; what is seen is the product's own pages.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../helpers/eventually.ts';
import { setTheme, setUp, startBrowser } from './browser.ts';
import { startDevSite, type Site } from './site.ts';

const size = { width: 1280, height: 720 };

const machines: [name: string, ...flags: string[]][] = [
  ['web-1', '--size', 'small'],
  ['web-2', '--size', 'small'],
  ['db-1', '--size', 'medium', '--network', 'prod'],
  ['nas-0', '--size', 'medium', '--network', 'prod', '--no-start'],
  ['ci-runner', '--size', 'tiny'],
  ['win-1', '--cpus', '8', '--memory', '512Gi'],
];

async function furnish(site: Site): Promise<void> {
  await eventually(
    async () => {
      const images = JSON.parse(await site.croft('image', 'list', '-o', 'json')) as { items: { state: string }[] };
      return images.items[0]?.state === 'ready';
    },
    { timeout: 60_000 },
  );
  await site.croft('network', 'create', 'prod', '--vlan', '20');
  for (const [name, ...flags] of machines) await site.croft('vm', 'create', name, '--image', 'tiny', '--no-wait', ...flags);
  await site.croft('vm', 'wait', 'ci-runner', 'running');
  await site.croft('vm', 'pause', 'web-2');
}

const directory = process.argv[2] ?? join(import.meta.dirname, '../../docs/images');
await mkdir(directory, { recursive: true });
const site = await startDevSite();
const { browser, close } = await startBrowser();
try {
  const context = await browser.newContext({ viewport: size, colorScheme: 'light' });
  await setTheme(context, 'light');
  const page = await context.newPage();
  await setUp(page, site.setupUrl);
  await furnish(site);
  await page.getByRole('link', { name: 'Virtual machines' }).first().click();
  await page.getByText('It needs 512 GiB').waitFor();
  await page.getByText('Paused').waitFor();
  await page.screenshot({ path: join(directory, 'console-vms.png') });

  await page.getByRole('button', { name: 'Create VM' }).click();
  await page.getByLabel(/^Name/).fill('web-3');
  await page.getByRole('radio', { name: /1 vCPU · 1 GiB/ }).check();
  await page.getByLabel('Network').selectOption('prod');
  await page.getByText(/^Needs 1 GiB/).waitFor();
  await page.screenshot({ path: join(directory, 'console-create.png') });
} finally {
  await close();
  await site.stop();
}
