/** Images by the console: the catalogue is offered, a file is sent, and a broken connection or a closed page loses nothing. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page, Route } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { setUp, startBrowser, watchErrors, type TestBrowser } from './browser.ts';
import { startDevSite, type Site } from './site.ts';

let site: Site;
let chromium: TestBrowser;
let page: Page;
let watched: ReturnType<typeof watchErrors>;
let home: string;
/** A piece and a bit: the first is of 8 MiB. */
const size = 9 * 2 ** 20;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'croft-upload-'));
  await writeFile(join(home, 'disk-one.raw'), randomBytes(size));
  await writeFile(join(home, 'other.raw'), randomBytes(4096));
  site = await startDevSite();
  chromium = await startBrowser();
  page = await (await chromium.browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
  page.setDefaultTimeout(20_000);
  watched = watchErrors(page);
  // Cut on purpose, below.
  watched.expect(/request: PATCH .*\/upload net::ERR_CONNECTION_RESET/);
  await setUp(page, site.setupUrl);
});

afterAll(async () => {
  await chromium?.close();
  await site?.stop();
  if (home) await rm(home, { recursive: true, force: true });
});

afterEach(() => {
  expect(watched.errors.splice(0)).toEqual([]);
});

async function openUpload(): Promise<void> {
  await page.goto(new URL('/images', site.url).href);
  await page.getByRole('button', { name: 'Add image' }).click();
  await page.getByRole('radio', { name: 'Upload from here' }).check();
}

const rowOf = (name: string) => page.getByRole('row').filter({ has: page.getByText(name, { exact: true }) });

/** Lets `good` pieces pass, then cuts the connection under the others while `isCut` says so. */
async function cutAfter(good: number, isCut: () => boolean): Promise<{ cut: () => number }> {
  let passed = 0;
  let cut = 0;
  await page.route('**/v1/images/*/upload*', async (route: Route) => {
    if (route.request().method() !== 'PATCH' || !isCut() || passed++ < good) return route.continue();
    cut++;
    return route.abort('connectionreset');
  });
  return { cut: () => cut };
}

test('the catalogue is offered first, with a name that fits', async () => {
  await page.goto(new URL('/images', site.url).href);
  await page.getByRole('button', { name: 'Add image' }).click();
  await page.getByLabel('System', { exact: true }).selectOption({ label: 'Debian 13 (trixie)' });
  expect(await page.getByRole('dialog').getByLabel(/^Name/).inputValue()).toBe('debian-13');
  await page.getByRole('button', { name: 'Cancel' }).click();
});

test('a file goes on after the connection was cut', async () => {
  let cuts = 0;
  const { cut } = await cutAfter(1, () => cuts++ < 3);
  await openUpload();
  await page.getByLabel(/^Image file/).setInputFiles(join(home, 'disk-one.raw'));
  expect(await page.getByRole('dialog').getByLabel(/^Name/).inputValue()).toBe('disk-one');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await rowOf('disk-one').getByText('Ready').waitFor({ timeout: 60_000 });
  expect(cut()).toBe(2);
  await page.unrouteAll();
});

test('after the page was closed the same file goes on, and another is refused', async () => {
  await cutAfter(1, () => true);
  await openUpload();
  await page.getByLabel(/^Image file/).setInputFiles(join(home, 'disk-one.raw'));
  await page.getByRole('dialog').getByLabel(/^Name/).fill('later');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await rowOf('later')
    .getByText(/^8 MiB of 9 MiB sent/)
    .waitFor({ timeout: 60_000 });
  page.once('dialog', (dialog) => void dialog.accept());
  await page.reload();
  await rowOf('later')
    .getByText(/^Its file is not being sent/)
    .waitFor();
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await page.getByRole('button', { name: 'Actions for later' }).click();
  await page.getByRole('menuitem', { name: 'Go on with the upload' }).click();
  const file = page.getByLabel(/^Image file/);
  await file.setInputFiles(join(home, 'other.raw'));
  await page.getByText(/^This is another file/).waitFor();
  await file.setInputFiles(join(home, 'disk-one.raw'));
  await page.getByRole('button', { name: 'Go on', exact: true }).click();
  await rowOf('later').getByText('Ready').waitFor({ timeout: 60_000 });
});
