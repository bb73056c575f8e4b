/** Creating a machine and moving it to a VLAN by keyboard alone, the palette, snapshots, roles, and the pseudo-locale. */
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { password, setUp, startBrowser, watchErrors, type TestBrowser } from './browser.ts';
import { startDevSite, type Site } from './site.ts';

let site: Site;
let chromium: TestBrowser;
let page: Page;
let watched: ReturnType<typeof watchErrors>;

beforeAll(async () => {
  site = await startDevSite();
  chromium = await startBrowser(site.launcher);
  page = await (await chromium.browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
  page.setDefaultTimeout(15_000);
  watched = watchErrors(page);
  await setUp(page, site.setupUrl);
  await site.croft('network', 'create', 'vlan20', '--vlan', '20');
});

afterAll(async () => {
  await chromium?.close();
  await site?.stop();
});

afterEach(() => {
  expect(watched.errors.splice(0)).toEqual([]);
});

const focused = (): Promise<string> =>
  page.evaluate<string>(
    `(() => { const at = document.activeElement; const label = at?.labels?.[0]?.textContent; return (at?.getAttribute('aria-label') ?? label ?? at?.textContent ?? '').trim(); })()`,
  );

/** Presses Tab until what has the focus is called so; a person would too. */
async function tabTo(name: RegExp): Promise<void> {
  for (let presses = 0; presses < 80; presses++) {
    if (name.test(await focused())) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`Tab never comes to ${name}; it is at “${await focused()}”`);
}

/** Types into the palette and opens its first entry. */
async function goTo(words: string): Promise<void> {
  await page.keyboard.press('Control+k');
  await page.locator('.croft-palette-field:focus').waitFor();
  await page.keyboard.type(words);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
}

test('a machine is created by keyboard alone', async () => {
  await goTo('create vm');
  await page.getByText('tiny', { exact: true }).first().waitFor();
  await tabTo(/^Name/);
  await page.keyboard.press('Control+a');
  await page.keyboard.type('key-1');
  await tabTo(/^Create and open console/);
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/vms\/key-1\/console$/);
  await page.getByText('Connected', { exact: true }).waitFor({ timeout: 90_000 });
});

test('it is moved to a VLAN by keyboard alone', async () => {
  // The console's keys are the guest's, this one's too, until the chord that the page names gives them back.
  await page.keyboard.press('Control+k');
  expect(await page.getByRole('dialog').count()).toBe(0);
  await page.keyboard.press('Control+Alt+Shift');
  await goTo('key-1');
  await page.waitForURL(/\/vms\/key-1\/overview$/);
  await tabTo(/^Network \d/);
  await page.keyboard.press('Enter');
  await tabTo(/^Change network of nic0/);
  await page.keyboard.press('Enter');
  await page.getByRole('menuitem', { name: /^vlan20/ }).waitFor();
  for (let presses = 0; presses < 10 && !(await focused()).startsWith('vlan20'); presses++)
    await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.getByRole('cell', { name: 'vlan20', exact: true }).waitFor();
  expect(await site.croft('vm', 'show', 'key-1', '-o', 'json')).toContain('"network": "vlan20"');
});

test('a snapshot is taken, put back and deleted', async () => {
  await page.getByRole('tab', { name: /^Snapshots/ }).click();
  await page.getByRole('button', { name: 'Take snapshot' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Take snapshot' }).click();
  const row = page.getByRole('row').filter({ hasText: 'snapshot-1' });
  await row.getByText('Ready').waitFor();
  await row.getByRole('button', { name: 'Actions for snapshot-1' }).click();
  await page.getByRole('menuitem', { name: /^Put back/ }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Put back' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  // What was before is kept as a snapshot of its own.
  await page.getByRole('row').nth(2).waitFor();
  await row.getByRole('button', { name: 'Actions for snapshot-1' }).click();
  await page.getByRole('menuitem', { name: /^Delete/ }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await row.waitFor({ state: 'detached' });
});

test('the picture says what the table says', async () => {
  await site.croft('uplink', 'create', 'lan', '--nic', 'eth1', '--vlans', '20');
  await goTo('networks');
  const row = page.getByRole('row').filter({ has: page.getByRole('cell', { name: 'vlan20', exact: true }) });
  await row.getByText('lan', { exact: true }).waitFor();
  const names = await page.evaluate<string[]>(
    `[...document.querySelectorAll('tbody tr')].map((row) => row.cells[0].textContent)`,
  );
  await page.getByRole('button', { name: 'Picture' }).click();
  const picture = page.locator('.croft-pictures');
  for (const name of names) await picture.getByText(name, { exact: true }).first().waitFor();
  const branch = picture.locator('.croft-picture').filter({ hasText: 'eth1' });
  expect(await branch.textContent()).toContain('vlan20');
  expect(await branch.textContent()).toContain('key-1');
  expect(await branch.textContent()).not.toContain('default');
});

test('a viewer sees everything and is told why nothing can be changed', async () => {
  const link = /\/setup#\S+/.exec(await site.croft('user', 'create', 'vera', '--role', 'viewer'))?.[0] as string;
  const context = await chromium.browser.newContext({ viewport: { width: 1280, height: 900 } });
  const other = await context.newPage();
  other.setDefaultTimeout(15_000);
  await other.goto(new URL(link, site.url).href);
  await other.getByLabel(/^Password/).fill(password);
  await other.getByRole('button', { name: 'Set password and continue' }).click();
  await other.getByRole('heading', { name: 'Overview' }).waitFor();
  await other.goto(new URL('/vms/key-1/snapshots', site.url).href);
  const take = other.getByRole('button', { name: 'Take snapshot' }).first();
  await take.waitFor();
  expect(await take.getAttribute('aria-disabled')).toBe('true');
  await take.hover();
  await other.getByText('This needs the role operator; yours is viewer.').waitFor();
  await other.keyboard.press('Control+k');
  await other.getByRole('combobox').fill('create vm');
  await other.getByText('Nothing of this name').last().waitFor();
  await context.close();
});

test('every text comes from the catalogue, and a third more of it fits', async () => {
  const context = await chromium.browser.newContext({
    viewport: { width: 1280, height: 900 },
    storageState: await page.context().storageState(),
  });
  await context.addInitScript(() => localStorage.setItem('croft.locale', 'pseudo'));
  const pseudo = await context.newPage();
  pseudo.setDefaultTimeout(15_000);
  for (const path of [
    '/',
    '/vms',
    '/vms/new',
    '/vms/key-1/snapshots',
    '/vms/key-1/network',
    '/networks',
    '/images',
    '/settings/users',
    '/settings/uplinks',
    '/settings/certificate',
    '/settings/backup',
    '/vms/import',
  ]) {
    await pseudo.goto(new URL(path, site.url).href);
    await pseudo.locator('h1').first().waitFor();
    await pseudo.locator('[aria-busy=true]').waitFor({ state: 'detached' });
    const bare = await pseudo.evaluate<string[]>(
      `[...document.querySelectorAll('button, th, h2, label, [role=tab]')].filter((each) => each.checkVisibility()).map((each) => each.textContent.trim()).filter((words) => /[a-z]{3}/i.test(words) && !words.includes('⟦'))`,
    );
    expect([path, bare.filter((words) => !givenNames.test(words))]).toEqual([path, []]);
    expect(await pseudo.evaluate('document.scrollingElement.scrollWidth > innerWidth')).toBe(false);
  }
  await context.close();
});

/** What people and the box named: no words of ours. */
const givenNames = /^(key-1|tiny|lan|default|vlan20|eth\d|admin|vera|local|small|medium|large|xlarge|micro|YAML|curl)/;
