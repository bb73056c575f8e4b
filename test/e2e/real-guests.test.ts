/** The console against the real service and real QEMU guests: serial by text, screen by pixels, a killed service. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { PNG } from 'pngjs';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventually } from '../helpers/eventually.ts';
import { usedComponent } from '../report/components.ts';
import { setUp, startBrowser, watchErrors, type TestBrowser } from './browser.ts';
import { startRealSite } from './site.ts';

let site: Awaited<ReturnType<typeof startRealSite>>;
let chromium: TestBrowser;
let page: Page;
let watched: ReturnType<typeof watchErrors>;

beforeAll(async () => {
  site = await startRealSite();
  usedComponent({ component: 'Chromium', mode: 'real', note: 'headless' });
  chromium = await startBrowser(site.launcher);
  page = await (await chromium.browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  page.setDefaultTimeout(30_000);
  watched = watchErrors(page);
}, 300_000);

afterEach(async ({ task }) => {
  const shots = process.env.CROFT_E2E_SHOTS;
  if (shots && task.result?.state === 'fail') await page.screenshot({ path: join(shots, `${task.id}.png`) });
});

afterAll(async () => {
  await chromium?.close();
  await site?.stop();
}, 120_000);

const connected = () => page.getByText('Connected', { exact: true }).waitFor({ timeout: 60_000 });
const serialText = () => page.locator('.xterm-rows').textContent();

/** Colours that the guest's screen shows now, as pixels. */
async function screen(): Promise<Buffer> {
  return PNG.sync.read(await page.locator('.croft-screen canvas').screenshot()).data;
}

const differing = (a: Buffer, b: Buffer): number => {
  let count = 0;
  for (let index = 0; index < Math.min(a.length, b.length); index += 4)
    if (a.readUInt32LE(index) !== b.readUInt32LE(index)) count++;
  return count;
};

test('first run, three fields, and the guest speaks on its serial console', async () => {
  await setUp(page, site.setupUrl);
  await page.getByRole('link', { name: 'Virtual machines' }).first().click();
  await page.getByRole('button', { name: 'Create VM' }).first().click();
  await page.getByLabel(/^Name/).fill('web-1');
  await page.getByRole('radio', { name: /^guest/ }).check();
  await page.getByRole('radio', { name: /1 vCPU · 256 MiB/ }).check();
  await page.getByRole('button', { name: 'Create and open console' }).click();
  await page.waitForURL(/\/vms\/web-1\/console$/);
  await connected();
  await page.locator('.xterm-helper-textarea').focus();
  await page.keyboard.press('Enter');
  await expect.poll(serialText, { timeout: 90_000 }).toContain('login:');
  // A login prompt drops what is typed while it is being set up, so a person would type again; so do we.
  await eventually(
    async () => {
      await page.keyboard.type('root\n');
      await expect.poll(serialText, { timeout: 8_000 }).toMatch(/# *$/m);
    },
    { timeout: 60_000, interval: 500 },
  );
  await page.keyboard.type('echo $((6*7))-by-serial\n');
  await expect.poll(serialText, { timeout: 30_000 }).toContain('42-by-serial');
  expect(watched.errors).toEqual([]);
});

test('the screen shows the guest, and its pixels change when a key is pressed', async () => {
  await page.getByRole('button', { name: 'Screen', exact: true }).click();
  await connected();
  await page.locator('.croft-screen canvas').click();
  // A blinking cursor is a few pixels; a typed line is many.
  const before = await screen();
  await page.keyboard.type('\nwwwwwwwwwwwwwwww');
  await expect.poll(async () => differing(before, await screen()), { timeout: 30_000 }).toBeGreaterThan(300);
  expect(watched.errors).toEqual([]);
});

test('the service is killed and comes back while the page is open: list and console go on by themselves', async () => {
  watched.expect(/request: .* net::ERR_/);
  watched.expect(/console: .*(WebSocket|ERR_)/);
  watched.expect(/answer: (409|503)/);
  await page.getByRole('button', { name: 'Serial', exact: true }).click();
  await connected();
  const pid = await site.box.pidOf('web-1');
  await site.box.kill();
  await page.getByText('The live connection is interrupted').waitFor();
  await page.getByText('Interrupted, connecting again…').waitFor();
  await site.box.start();
  await connected();
  await page.getByText('The live connection is interrupted').waitFor({ state: 'detached' });
  expect(await site.box.pidOf('web-1')).toBe(pid);
  await page.locator('.xterm-helper-textarea').focus();
  await page.keyboard.type('\necho $((40+4))-after\n');
  await expect.poll(serialText, { timeout: 30_000 }).toContain('44-after');
  expect(watched.errors).toEqual([]);
});

test('the list follows the command line', async () => {
  await page.getByRole('link', { name: 'Virtual machines' }).first().click();
  const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: 'web-1', exact: true }) });
  await row.getByText('Running').waitFor();
  await site.croft('vm', 'stop', 'web-1', '--force');
  await row.getByText('Stopped').waitFor();
  expect(watched.errors).toEqual([]);
});
