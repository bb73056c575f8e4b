/** The console's main journeys on simulated drivers: first run, live list, create, move to a VLAN, disks, settings. */
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startBrowser, setUp, watchErrors, type TestBrowser } from './browser.ts';
import { startDevSite, type Site } from './site.ts';

let site: Site;
let chromium: TestBrowser;
let page: Page;
let watched: ReturnType<typeof watchErrors>;

beforeAll(async () => {
  site = await startDevSite();
  chromium = await startBrowser(site.launcher);
  const context = await chromium.browser.newContext({ viewport: { width: 1280, height: 800 } });
  page = await context.newPage();
  page.setDefaultTimeout(10_000);
  watched = watchErrors(page);
});

afterAll(async () => {
  await chromium?.close();
  await site?.stop();
});

afterEach(async ({ task }) => {
  const shots = process.env.CROFT_E2E_SHOTS;
  if (shots && task.result?.state === 'fail') await page.screenshot({ path: join(shots, `${task.id}.png`) });
  expect(watched.errors.splice(0)).toEqual([]);
});

const rowOf = (name: string) => page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) });
const open = (name: string) => page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name }).click();

describe('first run', () => {
  test('the set-up link makes the administrator and ends at the dashboard', async () => {
    await setUp(page, site.setupUrl);
    await page.getByText('First steps').waitFor();
    expect(new URL(page.url()).pathname).toBe('/');
    expect(page.url()).not.toContain('#');
  });

  test('the link works once', async () => {
    watched.expect(/401 POST .*\/v1\/setup/);
    const context = await chromium.browser.newContext();
    const other = await context.newPage();
    await other.goto(site.setupUrl);
    await other.getByLabel(/^Password/).fill('another good password');
    await other.getByRole('button', { name: 'Set password and continue' }).click();
    await other.getByText('This set-up link is used up').waitFor();
    await context.close();
  });

  test('without a session every address leads to sign-in, and back after it', async () => {
    const context = await chromium.browser.newContext();
    const other = await context.newPage();
    await other.goto(new URL('/networks', site.url).href);
    await other.getByLabel(/^User/).fill('admin');
    await other.getByLabel(/^Password/).fill('correct horse battery');
    await other.getByRole('button', { name: 'Sign in' }).click();
    await other.getByRole('heading', { name: 'Networks' }).waitFor();
    await context.close();
  });
});

describe('machines', () => {
  test('created with three fields, one click makes one machine, and its console opens', async () => {
    await open('Virtual machines');
    await page.getByRole('button', { name: 'Create VM' }).first().click();
    await page.getByText('tiny', { exact: true }).first().waitFor();
    expect(await page.getByLabel(/^Name/).inputValue()).toBe('vm-1');
    await page.getByLabel(/^Name/).fill('web-1');
    await page.getByRole('radio', { name: /1 vCPU · 256 MiB/ }).check();
    expect(await page.locator('.croft-same-as code').textContent()).toContain('croft vm create web-1');
    await page.getByRole('button', { name: 'Create and open console' }).dblclick();
    await page.waitForURL(/\/vms\/web-1\/console$/);
    await page.getByText('Connected', { exact: true }).waitFor({ timeout: 90_000 });
    const names = (await site.croft('vm', 'list', '-o', 'name')).split('\n').filter((line) => line !== '');
    expect(names).toHaveLength(1);
  });

  test('the serial console shows the guest and takes keys', async () => {
    const rows = page.locator('.xterm-rows');
    await expect.poll(() => rows.textContent()).toContain('web-1 (simulated)');
    await page.locator('.xterm-helper-textarea').focus();
    await page.keyboard.type('echo of keys');
    await expect.poll(() => rows.textContent()).toContain('echo of keys');
  });

  test('the list changes without reload when the command line stops and starts it', async () => {
    await open('Virtual machines');
    await rowOf('web-1').getByText('Running').waitFor();
    let loads = 0;
    page.on('load', () => loads++);
    await site.croft('vm', 'stop', 'web-1', '--force');
    await rowOf('web-1').getByText('Stopped').waitFor();
    await site.croft('vm', 'start', 'web-1');
    await rowOf('web-1').getByText('Running').waitFor();
    expect(loads).toBe(0);
  });

  test('an action that is not possible is there, disabled, with its reason', async () => {
    await rowOf('web-1').getByRole('button', { name: 'Actions for web-1' }).click();
    const start = page.getByRole('menuitem', { name: /^Start/ });
    expect(await start.getAttribute('aria-disabled')).toBe('true');
    expect(await start.textContent()).toContain('It is “Running”');
    await page.keyboard.press('Escape');
  });

  test('/ filters, and Escape is no trap', async () => {
    await site.croft('vm', 'create', 'db-1', '--image', 'tiny', '--size', 'tiny', '--no-start');
    await rowOf('db-1').waitFor();
    await page.getByRole('heading', { name: 'Virtual machines' }).click();
    await page.keyboard.press('/');
    await page.keyboard.type('state:stopped');
    await rowOf('web-1').waitFor({ state: 'detached' });
    await rowOf('db-1').waitFor();
    await page.getByRole('button', { name: 'Reset' }).click();
    await rowOf('web-1').waitFor();
  });

  test('a VLAN is declared and a running machine moved to it in two clicks', async () => {
    await open('Networks');
    await page.getByRole('button', { name: 'Create network' }).first().click();
    await page.getByRole('spinbutton', { name: /^VLAN/ }).fill('20');
    await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
    await page.getByRole('cell', { name: 'vlan20', exact: true }).waitFor();
    await open('Virtual machines');
    await page.getByRole('link', { name: 'web-1', exact: true }).click();
    await page.getByRole('tab', { name: /^Network/ }).click();
    await page.getByRole('button', { name: 'Change network of nic0' }).click();
    await page.getByRole('menuitem', { name: /^vlan20/ }).click();
    await page.getByRole('cell', { name: 'vlan20', exact: true }).waitFor();
    expect(await site.croft('vm', 'show', 'web-1', '-o', 'json')).toContain('"network": "vlan20"');
  });

  test('a disk is attached and shown', async () => {
    await page.getByRole('tab', { name: /^Disks/ }).click();
    await page.getByRole('button', { name: 'Add disk' }).click();
    await page.getByLabel(/^Size/).fill('64Mi');
    await page.getByRole('dialog').getByRole('button', { name: 'Attach' }).click();
    await page.getByRole('cell', { name: '64 MiB' }).waitFor();
  });

  test('a form saved over a newer change is refused and shows the new values', async () => {
    watched.expect(/412 PATCH/);
    await page.getByRole('link', { name: 'Virtual machines' }).first().click();
    await page.getByRole('link', { name: 'db-1', exact: true }).click();
    await page.getByRole('tab', { name: 'Settings' }).click();
    await page.getByLabel('Memory').fill('300Mi');
    await page.waitForLoadState('networkidle', { timeout: 1000 }).catch(() => undefined);
    await site.croft('vm', 'edit', 'db-1', '--cpus', '3', '--memory', '512Mi');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('It changed meanwhile').waitFor();
    await expect.poll(() => page.getByLabel('Memory').inputValue()).toBe('512Mi');
  });
});

describe('the connection', () => {
  test('a page opened on a stopped machine connects when it starts', async () => {
    await page.getByRole('tab', { name: 'Console' }).click();
    await page.getByText('No console while the machine is “Stopped”').waitFor();
    await site.croft('vm', 'start', 'db-1');
    await page.getByText('Connected', { exact: true }).waitFor({ timeout: 90_000 });
  });
});

describe('charts', () => {
  test('what a machine uses comes by itself, in words, as a plot and as a table', { timeout: 90_000 }, async () => {
    await open('Virtual machines');
    await page.getByRole('img', { name: /^Processor of web-1 in the last hour: now/ }).waitFor({ timeout: 60_000 });
    await rowOf('web-1').getByRole('link', { name: 'web-1', exact: true }).click();
    const chart = page.getByRole('region', { name: 'Processor' });
    await chart.getByText(/^Now \d+\.\d+ CPUs\. Most/).waitFor();
    await chart.locator('canvas').waitFor();
    await chart.getByRole('button', { name: /as a table/ }).click();
    await chart
      .getByRole('gridcell', { name: /\d+\.\d+ CPUs/ })
      .first()
      .waitFor();
    await page.getByRole('button', { name: '30 days' }).click();
    await chart.getByText(/^Now/).waitFor();
  });
});
