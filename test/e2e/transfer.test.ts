/** Machines, images and the box itself on their way in and out by the console: OVA, several files at once, backup. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openBackup } from '../../appliance/node/backup-file.ts';
import { parseBackup } from '../../appliance/node/backup.ts';
import { setUp, startBrowser, watchErrors, type TestBrowser } from './browser.ts';
import { ovaOf, ovfOf } from './ova.ts';
import { startDevSite, type Site } from './site.ts';

let site: Site;
let chromium: TestBrowser;
let page: Page;
let watched: ReturnType<typeof watchErrors>;
let home: string;
const mib = 2 ** 20;
const old = { name: 'Old Server', disks: [randomBytes(mib), randomBytes(9 * mib)], networks: ['VM Network', 'prod'] };

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'croft-transfer-'));
  await writeFile(join(home, 'old.ova'), ovaOf(old));
  site = await startDevSite();
  chromium = await startBrowser(site.launcher);
  page = await (await chromium.browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
  page.setDefaultTimeout(20_000);
  watched = watchErrors(page);
  await setUp(page, site.setupUrl);
  await site.croft('network', 'create', 'prod', '--vlan', '20');
  await site.croft('network', 'create', 'dmz', '--vlan', '30');
});

afterAll(async () => {
  await chromium?.close();
  await site?.stop();
  if (home) await rm(home, { recursive: true, force: true });
});

afterEach(async ({ task }) => {
  const shots = process.env.CROFT_E2E_SHOTS;
  if (shots && task.result?.state === 'fail') await page.screenshot({ path: join(shots, `${task.id}.png`) });
  expect(watched.errors.splice(0)).toEqual([]);
});

const show = (path: string) => page.goto(new URL(path, site.url).href);
const rowOf = (name: string) => page.getByRole('row').filter({ has: page.getByText(name, { exact: true }) });

describe('import of an OVA', () => {
  const report = () => page.getByRole('region', { name: 'What will be made' });

  test('what it holds is shown first, and its networks lead where one says', async () => {
    await show('/vms');
    await page.getByRole('button', { name: 'Import' }).first().click();
    await page.getByLabel(/^OVA file/).setInputFiles(join(home, 'old.ova'));
    await report().getByText('2 vCPU · 512 MiB').waitFor();
    await report().getByText('nic1: prod → prod').waitFor();
    await report()
      .getByText(/against the package’s SHA256 sums/)
      .waitFor();
    await page.getByLabel('“VM Network” becomes').selectOption('dmz');
    await report().getByText('nic0: VM Network → dmz').waitFor();
    await page.getByLabel(/^Name/).fill('shop');
    await report()
      .getByText(/croft vm import old\.ova[\s\S]*--name shop[\s\S]*'VM Network=dmz'/)
      .waitFor();
    expect((await site.croft('vm', 'list', '-o', 'name')).trim()).toBe('');
  });

  test('then it is made; its disks are sent meanwhile, over a cut connection too', async () => {
    watched.expect(/request: PATCH .* net::ERR_CONNECTION_RESET/);
    let cuts = 0;
    await page.route('**/v1/images/shop-disk1-import/upload*', (route) =>
      route.request().method() === 'PATCH' && cuts++ === 1 ? route.abort('connectionreset') : route.continue(),
    );
    await page.getByRole('button', { name: 'Import', exact: true }).click();
    await page.waitForURL(/\/vms\/shop\/overview$/);
    await page.getByRole('button', { name: /^Tasks/ }).click();
    // Small files may be on the box before the drawer is open.
    const drawer = page.locator('.pf-v6-c-notification-drawer');
    await drawer.getByRole('heading', { name: 'Sent from this page' }).waitFor({ state: 'detached', timeout: 60_000 });
    await page.getByRole('button', { name: 'Close tasks' }).click();
    await page.locator('[data-state=stopped]').first().waitFor({ timeout: 60_000 });
    expect(cuts).toBeGreaterThan(1);
    const vm = JSON.parse(await site.croft('vm', 'show', 'shop', '-o', 'json')) as {
      cpus: number;
      disks: { name: string }[];
      nics: { network: string }[];
    };
    expect(vm).toMatchObject({ cpus: 2, nics: [{ network: 'dmz' }, { network: 'prod' }] });
    expect(vm.disks.map(({ name }) => name)).toEqual(['root', 'disk1']);
    await page.unrouteAll({ behavior: 'ignoreErrors' });
  });

  test('an OVF beside its disks is as good; what is missing is named', async () => {
    await show('/vms/import');
    const parts = [
      { name: 'small.ovf', mimeType: '', buffer: Buffer.from(ovfOf({ name: 'small', disks: [randomBytes(mib)], networks: [] })) },
      { name: 'disk0.raw', mimeType: '', buffer: randomBytes(mib) },
    ];
    await page.getByLabel(/^OVA file/).setInputFiles(parts.slice(0, 1));
    await report()
      .getByText(/disk0\.raw is named by the descriptor/)
      .waitFor();
    expect(await page.getByRole('button', { name: 'Import', exact: true }).isDisabled()).toBe(true);
    await page.getByLabel(/^OVA file/).setInputFiles(parts);
    await page.getByRole('button', { name: 'Import', exact: true }).click();
    await page.waitForURL(/\/vms\/small\/overview$/);
  });

  test('what is no package, a damaged one and a taken name are refused in words', async () => {
    watched.expect(/answer: 409 POST .*\/v1\/vms\/import/);
    await show('/vms/import');
    const file = page.getByLabel(/^OVA file/);
    await file.setInputFiles({ name: 'notes.txt', mimeType: '', buffer: Buffer.from('hello') });
    await page.getByText('Choose one .ova file').waitFor();
    const damaged = ovaOf(old);
    damaged[3] = 0x41;
    await file.setInputFiles({ name: 'bad.ova', mimeType: '', buffer: damaged });
    await page.getByText(/wrong checksum/).waitFor();
    await file.setInputFiles(join(home, 'old.ova'));
    await page.getByLabel(/^Name/).fill('small');
    await report()
      .getByText(/There is a VM small/)
      .waitFor();
    expect(await page.getByRole('button', { name: 'Import', exact: true }).isDisabled()).toBe(true);
  });
});

describe('several images at once', () => {
  test('each gets its name, all are sent, and the drawer shows how far they are', async () => {
    const names = ['one', 'two', 'three'];
    await show('/images');
    await page.getByRole('button', { name: 'Add image' }).click();
    await page.getByRole('radio', { name: 'Upload from here' }).check();
    await page
      .getByLabel(/^Image file/)
      .setInputFiles(names.map((name) => ({ name: `${name}.raw`, mimeType: '', buffer: randomBytes(3 * mib) })));
    await page.getByLabel(/^Name of two\.raw/).fill('zwei');
    await page.getByLabel(/^Name of three\.raw/).fill('one');
    await page
      .getByText(/is made twice here/)
      .first()
      .waitFor();
    await page.getByLabel(/^Name of three\.raw/).fill('three');
    await page.getByRole('dialog').getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    for (const name of ['one', 'zwei', 'three']) await rowOf(name).getByText('Ready').waitFor({ timeout: 60_000 });
  });
});

describe('backup of the box', () => {
  test('is made of a passphrase that is typed twice, and holds what the box knows', async () => {
    await show('/settings/backup');
    const [first, again] = [page.getByLabel(/^Passphrase(?! again)/), page.getByLabel('Passphrase again')];
    const make = page.getByRole('button', { name: 'Make and download' });
    await first.fill('short');
    await page.getByText('This has 5 of at least 12 characters.').waitFor();
    await first.fill('a long enough passphrase');
    await again.fill('another one');
    await page.getByText('The two passphrases differ.').waitFor();
    expect(await make.isDisabled()).toBe(true);
    await again.fill('a long enough passphrase');
    const downloading = page.waitForEvent('download');
    await make.click();
    const download = await downloading;
    expect(download.suggestedFilename()).toMatch(/^127\.0\.0\.1-\d{4}-\d\d-\d\d\.croft$/);
    const content = await openBackup(await readFile(await download.path()), 'a long enough passphrase');
    const { objects } = parseBackup(content.toString('utf8'));
    expect(objects.map(({ metadata }) => metadata.name)).toEqual(expect.arrayContaining(['shop', 'dmz', 'admin']));
    await page.getByText(/was handed to your browser/).waitFor();
    expect(await first.inputValue()).toBe('');
  });
});
