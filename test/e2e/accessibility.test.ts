/** axe on every page and dialog, in light and dark, wide and narrow looks: no violation of WCAG 2.2 AA, nothing wider than the screen. */
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { violations } from './accessibility.ts';
import { answer, inCluster } from './answers.ts';
import { setUp, startBrowser, watchErrors, type TestBrowser } from './browser.ts';
import { ovaOf } from './ova.ts';
import { pages } from './pages.ts';
import { startDevSite, type Site } from './site.ts';

let site: Site;
let chromium: TestBrowser;
let page: Page;
let watched: ReturnType<typeof watchErrors>;

beforeAll(async () => {
  site = await startDevSite();
  chromium = await startBrowser();
  page = await (await chromium.browser.newContext()).newPage();
  page.setDefaultTimeout(20_000);
  watched = watchErrors(page);
  await setUp(page, site.setupUrl);
  await site.croft('vm', 'create', 'web-1', '--image', 'tiny', '--size', 'tiny');
  await site.croft('vm', 'create', 'win-1', '--image', 'tiny', '--cpus', '8', '--memory', '512Gi', '--no-wait');
  await site.croft('network', 'create', 'prod', '--vlan', '20');
  await site.croft('uplink', 'create', 'lan', '--nic', 'eth1');
  await site.croft('snapshot', 'create', 'web-1', 'before');
});

afterAll(async () => {
  await chromium?.close();
  await site?.stop();
});

afterEach(() => {
  expect(watched.errors.splice(0)).toEqual([]);
});

/** What opens on a page, and the buttons that open it. */
const dialogs: [path: string, ...buttons: (string | RegExp)[]][] = [
  ['/vms', 'Actions for web-1'],
  ['/vms', 'Actions for web-1', /^Delete/],
  ['/vms/web-1/disks', 'Add disk'],
  ['/vms/web-1/network', 'Change network of nic0'],
  ['/vms/web-1/snapshots', 'Take snapshot'],
  ['/vms/web-1/snapshots', 'Actions for before', /^Put back/],
  ['/vms/web-1/snapshots', 'Actions for before', /^New machine/],
  ['/', 'Search and commands'],
  ['/images', 'Add image'],
  ['/settings/uplinks', 'Create uplink'],
  ['/settings/uplinks', 'Actions for lan', /^Edit/],
  ['/settings/certificate', /^Use your own/],
  ['/settings/certificate', /^Make a new one/],
  ['/activity/tasks', /^Steps of/],
  ['/vms/new', 'Add another image'],
  ['/vms/new', /^More/],
  ['/networks', 'Actions for prod', /^Delete/],
  ['/volumes', /^Actions for web-1/, /^Grow/],
  ['/images', 'Actions for tiny', /^Delete/],
  ['/settings/users', 'Actions for admin', /^Delete/],
  ['/vms/web-1/console', /^Type text/],
  ['/volumes', 'Create volume'],
  ['/networks', 'Create network'],
  ['/networks', 'Picture'],
  ['/settings/users', 'Invite user'],
  ['/settings/tokens', /Create token/],
  ['/', /^Tasks/],
  ['/', /^Theme/],
  ['/', /^Signed in as/],
  ['/', /^Signed in as/, /^Keys/],
];

async function show(path: string): Promise<void> {
  await page.goto(new URL(path, site.url).href);
  await page.locator('h1').first().waitFor();
  await page.locator('[aria-busy=true]').waitFor({ state: 'detached' });
}

/** Menus and dialogs fade in; half-faded text has no contrast. Spinners turn for ever and are not waited for. */
const settled = () =>
  page.evaluate(
    'Promise.all(document.getAnimations().filter((each) => Number.isFinite(each.effect?.getComputedTiming().endTime)).map((each) => each.finished.catch(() => {})))',
  );

async function judge(): Promise<string[]> {
  await settled();
  const isTooWide = await page.evaluate<boolean>('document.scrollingElement.scrollWidth > innerWidth');
  return [...(isTooWide ? ['wider than the screen'] : []), ...(await violations(page))];
}

const looks = [
  ['light', 1280],
  ['dark', 360],
  ['light', 360],
  ['dark', 1280],
] as const;
/** `npm test` judges every page in two of the four looks, both themes and both widths among them; CROFT_SEED repeats a choice. */
const seed = Number(process.env.CROFT_SEED ?? Math.floor(Math.random() * 2 ** 31));
const judged = process.env.CROFT_LOOKS === 'all' ? looks : seed % 2 === 0 ? looks.slice(0, 2) : looks.slice(2);

describe.each(judged)(`%s, %i px (CROFT_SEED=${seed})`, (theme, width) => {
  beforeAll(async () => {
    await page.setViewportSize({ width, height: 800 });
    await page.goto(site.url);
    await page.evaluate((value) => localStorage.setItem('croft.theme', value), theme);
  });

  test.each(pages)('%s', async (path) => {
    await show(path);
    expect(await judge()).toEqual([]);
  });

  test.each(dialogs)('%s %s %s', async (path, ...buttons) => {
    await show(path);
    for (const name of buttons.filter((each) => each !== undefined)) {
      await page.getByRole('button', { name }).or(page.getByRole('menuitem', { name })).first().click();
    }
    expect(await judge()).toEqual([]);
  });
});

/** Simulated drivers make no replicated pool: these are answers of the API as a box with one gives them. */
const replicated = {
  kind: 'pool',
  name: 'safe',
  driver: 'rbd',
  replicas: 2,
  state: 'ready',
  capacity: 3e12,
  used: 1e12,
  conditions: [],
  health: {
    state: 'rebuilding',
    message: 'Data is 2×, one copy of 41 % missing (osd.1 down), back in ~4 min.',
    survives: 0,
    recovery: { missing: 0.41, bytesPerSecond: 12e6, seconds: 240 },
  },
};
const disk = (name: string, state: string) => ({
  kind: 'disk',
  id: name,
  name,
  pool: 'safe',
  path: `/dev/disk/by-id/ata-${name}`,
  size: 1e12,
  serial: `S-${name}`,
  state,
  smart: { passed: true, temperature: 41, hours: 12_000, badSectors: 9 },
  warning: '9 sectors are bad: replace it soon.',
  ...(state === 'up' ? { locating: 'activity' } : {}),
});

test.each(['light', 'dark'])('a replicated pool and its disks, %s', async (theme) => {
  await page.route('**/v1/pools*', (route) => route.fulfill(answer([replicated])));
  await page.route('**/v1/disks*', (route) =>
    route.fulfill(answer([disk('osd.0', 'up'), disk('osd.1', 'down'), disk('osd.2', 'preparing')])),
  );
  await page.evaluate((value) => localStorage.setItem('croft.theme', value), theme);
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    await show('/settings/pools');
    await page.getByText('If a disk fails now, data may be lost.').waitFor();
    expect(await judge()).toEqual([]);
    await page.getByRole('button', { name: 'Replace osd.1' }).click();
    expect(await judge()).toEqual([]);
  }
  await page.unrouteAll();
});

const ova = { name: 'Old Server', disks: [Buffer.alloc(2 ** 20, 7)], networks: ['VM Network', 'prod'] };

test.each(['light', 'dark'])('a package that was read, several files, and a cluster, %s', async (theme) => {
  await page.evaluate((value) => localStorage.setItem('croft.theme', value), theme);
  const node = (JSON.parse(await site.croft('vm', 'show', 'web-1', '-o', 'json')) as { node: string }).node;
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    await show('/vms/import');
    await page.getByLabel(/^OVA file/).setInputFiles({ name: 'old.ova', mimeType: '', buffer: ovaOf(ova) });
    await page.getByText('nic1: prod → prod').waitFor();
    expect(await judge()).toEqual([]);
    await page.getByLabel(/^OVA file/).setInputFiles({ name: 'notes.txt', mimeType: '', buffer: Buffer.from('no') });
    await page.getByText('Choose one .ova file').waitFor();
    expect(await judge()).toEqual([]);

    await show('/images');
    await page.getByRole('button', { name: 'Add image' }).click();
    await page.getByRole('radio', { name: 'Upload from here' }).check();
    const several = ['one', 'two'].map((name) => ({ name: `${name}.raw`, mimeType: '', buffer: Buffer.alloc(512) }));
    await page.getByLabel(/^Image file/).setInputFiles(several);
    await page.getByLabel(/^Name of two/).waitFor();
    expect(await judge()).toEqual([]);

    await inCluster(page, node);
    await show('/node');
    await page.getByText('It stopped answering at 10:31.').waitFor();
    expect(await judge()).toEqual([]);
    await show('/vms');
    await page.getByRole('button', { name: 'Actions for web-1' }).click();
    await page.getByRole('menuitem', { name: /^Migrate/ }).click();
    expect(await judge()).toEqual([]);
    await page.unrouteAll();
  }
});

test('the pages before sign-in', async () => {
  const context = await chromium.browser.newContext({ viewport: { width: 360, height: 800 } });
  const stranger = await context.newPage();
  for (const path of ['/signin', '/setup', '/setup#some-token.']) {
    await stranger.goto('about:blank');
    await stranger.goto(new URL(path, site.url).href);
    await stranger.locator('h1').waitFor();
    expect(await violations(stranger)).toEqual([]);
  }
  await context.close();
});
