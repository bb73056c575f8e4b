/**
 * Makes pictures of the console on simulated drivers; what is seen is the product's own pages.
 * `node test/e2e/screenshots.ts` the ones that README and docs show; with a directory, every page in both themes there.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { eventually } from '../helpers/eventually.ts';
import { setTheme, setUp, startBrowser } from './browser.ts';
import { pages } from './pages.ts';
import { startDevSite, type Site } from './site.ts';

const size = { width: 1280, height: 720 };
/** The pages scroll inside their frame: this much of each is seen. */
const tall = { width: 1280, height: 1100 };
const phone = { width: 360, height: 800 };

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
  await site.croft('uplink', 'create', 'lan', '--nic', 'eth1');
  await site.croft('network', 'create', 'prod', '--vlan', '20');
  for (const [name, ...flags] of machines) await site.croft('vm', 'create', name, '--image', 'tiny', '--no-wait', ...flags);
  await site.croft('vm', 'wait', 'ci-runner', 'running');
  await site.croft('vm', 'pause', 'web-2');
  await site.croft('snapshot', 'create', 'web-1', 'before-update');
}

/** Notices come and go; a picture shows the page without them. */
const withoutNotices = (page: Page) => page.addStyleTag({ content: '.pf-v6-c-alert-group { display: none }' });

async function readmePictures(page: Page, site: Site, directory: string): Promise<void> {
  await page.goto(new URL('/vms', site.url).href);
  await page.getByText('It needs 512 GiB').waitFor();
  await page.getByText('Paused').waitFor();
  await page.getByRole('img', { name: /^Processor of web-1/ }).waitFor();
  await withoutNotices(page);
  await page.screenshot({ path: join(directory, 'console-vms.png') });

  await page.goto(new URL('/vms/new', site.url).href);
  await page.getByLabel(/^Name/).fill('web-3');
  await page.getByRole('radio', { name: /1 vCPU · 1 GiB/ }).check();
  await page.getByLabel('Network').selectOption('prod');
  await page.getByText(/^Needs 1 GiB/).waitFor();
  await withoutNotices(page);
  await page.screenshot({ path: join(directory, 'console-create.png') });
}

async function everyPage(page: Page, site: Site, theme: string, directory: string): Promise<void> {
  const take = (name: string) => page.screenshot({ path: join(directory, `${name}-${theme}.png`) });
  await page.setViewportSize(tall);
  for (const path of pages) {
    await page.goto(new URL(path, site.url).href);
    await page.locator('h1').first().waitFor();
    await page.locator('[aria-busy=true]').waitFor({ state: 'detached' });
    await page.locator('.croft-usage .pf-v6-c-skeleton').first().waitFor({ state: 'detached' });
    if (path.endsWith('/console')) await page.getByText('Connected', { exact: true }).waitFor();
    await take(path.slice(1).replaceAll('/', '-') || 'overview');
  }
  await page.goto(new URL('/networks', site.url).href);
  await page.getByRole('button', { name: 'Picture' }).click();
  await take('networks-picture');
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox').fill('web');
  await take('palette');
  await page.goto(new URL('/settings/uplinks', site.url).href);
  await page.getByRole('button', { name: 'Actions for lan' }).click();
  await page.getByRole('menuitem', { name: 'Edit' }).click();
  await page.getByLabel('eth2').waitFor();
  await take('uplink-edit');
  await page.setViewportSize(phone);
  for (const path of [
    '/',
    '/vms',
    '/vms/import',
    '/vms/web-1/overview',
    '/networks',
    '/settings/certificate',
    '/settings/uplinks',
  ]) {
    await page.goto(new URL(path, site.url).href);
    await page.locator('h1').first().waitFor();
    await page.locator('[aria-busy=true]').waitFor({ state: 'detached' });
    await take(`phone-${path.slice(1).replaceAll('/', '-') || 'overview'}`);
  }
}

const asked = process.argv[2];
const directory = asked ?? join(import.meta.dirname, '../../docs/images');
await mkdir(directory, { recursive: true });
const site = await startDevSite();
const { browser, close } = await startBrowser();
try {
  const context = await browser.newContext({ viewport: size, colorScheme: 'light' });
  await setTheme(context, 'light');
  const page = await context.newPage();
  await setUp(page, site.setupUrl);
  await furnish(site);
  await page.goto(new URL('/vms', site.url).href);
  // The charts' first values come with the second sample.
  await page.getByRole('img', { name: /^Processor of web-1/ }).waitFor({ timeout: 60_000 });
  if (asked) {
    for (const theme of ['light', 'dark'] as const) {
      await setTheme(context, theme);
      await everyPage(page, site, theme, directory);
    }
  } else await readmePictures(page, site, directory);
} finally {
  await close();
  await site.stop();
}
