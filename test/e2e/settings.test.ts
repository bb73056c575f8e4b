/** The box by the console: its certificate, its uplinks, its cluster; tasks with their steps; single keys. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { selfSigned } from '../../appliance/host/self-signed.ts';
import { answer, inCluster } from './answers.ts';
import { setUp, startBrowser, watchErrors, type TestBrowser } from './browser.ts';
import { startDevSite, type Site } from './site.ts';

let site: Site;
let chromium: TestBrowser;
let page: Page;
let watched: ReturnType<typeof watchErrors>;

beforeAll(async () => {
  site = await startDevSite();
  chromium = await startBrowser(site.launcher);
  page = await (await chromium.browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
  page.setDefaultTimeout(20_000);
  watched = watchErrors(page);
  await setUp(page, site.setupUrl);
  await site.croft('vm', 'create', 'web-1', '--image', 'tiny', '--size', 'tiny');
});

afterAll(async () => {
  await chromium?.close();
  await site?.stop();
});

afterEach(async ({ task }) => {
  const shots = process.env.CROFT_E2E_SHOTS;
  if (shots && task.result?.state === 'fail') await page.screenshot({ path: join(shots, `${task.id}.png`) });
  expect(watched.errors.splice(0)).toEqual([]);
  await page.unrouteAll({ behavior: 'ignoreErrors' });
});

const show = (path: string) => page.goto(new URL(path, site.url).href);
const dialog = () => page.getByRole('dialog');
const pairOf = (commonName: string) =>
  selfSigned({
    commonName,
    names: [{ type: 'dns', value: 'box.example' }],
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: new Date(Date.now() + 20 * 86_400_000),
  });

describe('certificate', () => {
  test('an own one takes the place of the box’s; what does not fit is said at its field', async () => {
    watched.expect(/answer: 400 PUT .*certificate/);
    const mine = pairOf('Mine');
    await show('/settings/certificate');
    await page.getByRole('button', { name: 'Use your own…' }).click();
    await dialog().getByLabel('Certificate and chain', { exact: false }).first().fill(mine.cert);
    await dialog()
      .getByLabel(/^Private key from a file/)
      .setInputFiles({ name: 'other.key', mimeType: '', buffer: Buffer.from(pairOf('Other').key) });
    await dialog().getByRole('button', { name: 'Serve it' }).click();
    await dialog().getByText('It belongs to another certificate.').first().waitFor();
    await dialog()
      .getByLabel(/^Private key from a file/)
      .setInputFiles({ name: 'mine.key', mimeType: '', buffer: Buffer.from(mine.key) });
    await expect.poll(() => dialog().getByRole('textbox').last().inputValue()).toBe(mine.key);
    await dialog().getByRole('button', { name: 'Serve it' }).click();
    await dialog().waitFor({ state: 'detached' });
    await page.getByText('box.example').waitFor();
    await page.getByText('your own', { exact: true }).waitFor();
    // Twenty days are less than a month.
    await page.getByText('Ends soon').waitFor();
    const shown = JSON.parse(await site.croft('node', 'certificate', '-o', 'json')) as { fingerprint: string };
    await page.getByText(shown.fingerprint).first().waitFor();
  });

  test('back to a self-signed one', async () => {
    await page.getByRole('button', { name: 'Make a new one' }).click();
    await dialog().getByRole('button', { name: 'Make a new one' }).click();
    await page.getByText('made by this box').waitFor();
    await page.getByText('Valid', { exact: true }).waitFor();
  });
});

describe('uplinks', () => {
  test('devices are chosen from a list that says why some can’t be', async () => {
    await show('/settings/uplinks');
    await page.getByRole('button', { name: 'Create uplink' }).first().click();
    await dialog().getByLabel('eth0').waitFor();
    expect(await dialog().getByLabel('eth0').isDisabled()).toBe(true);
    await dialog()
      .getByText(/the machine would lose it/)
      .waitFor();
    await dialog()
      .getByText(/link up · 10 Gbit\/s/)
      .first()
      .waitFor();
    await dialog().getByLabel('eth1').check();
    await dialog().getByLabel('eth2').check();
    await dialog().getByLabel('Bond').selectOption('lacp');
    await dialog()
      .getByRole('radio', { name: /^Some VLANs/ })
      .check();
    await dialog()
      .getByLabel(/^VLANs/)
      .fill('20, 30');
    await dialog()
      .getByLabel(/^Undo it by itself/)
      .uncheck();
    await dialog().getByRole('button', { name: 'Create' }).click();
    await page.getByRole('cell', { name: 'All work (LACP)' }).waitFor();
    await page.getByRole('cell', { name: '20, 30', exact: true }).waitFor();
  });

  test('a bond’s settings are changed, and only they', async () => {
    await page.getByRole('button', { name: 'Actions for lan' }).click();
    await page.getByRole('menuitem', { name: 'Edit' }).click();
    await dialog().getByLabel('eth3').check();
    await dialog().getByLabel('Bond').selectOption('active-backup');
    await dialog().getByLabel('MTU').fill('9000');
    const sent = page.waitForRequest((request) => request.method() === 'PATCH');
    await dialog().getByRole('button', { name: 'Save' }).click();
    expect((await sent).postDataJSON()).toEqual({ interfaces: ['eth1', 'eth2', 'eth3'], mode: 'active-backup', mtu: 9000 });
    expect((await sent).url()).toContain('confirmWithin=60');
    await page.getByRole('button', { name: 'Keep it' }).click();
    await page.getByRole('button', { name: 'Keep it' }).waitFor({ state: 'detached' });
    await page.getByRole('cell', { name: '9000' }).waitFor();
  });

  test('a save over a newer change is refused', async () => {
    watched.expect(/answer: 412 PATCH/);
    await page.getByRole('button', { name: 'Actions for lan' }).click();
    const read = page.waitForResponse((response) => response.url().endsWith('/v1/uplinks/lan'));
    await page.getByRole('menuitem', { name: 'Edit' }).click();
    await read;
    await site.croft('uplink', 'edit', 'lan', '--mtu', '1500');
    await dialog().getByLabel('MTU').fill('4000');
    await dialog().getByRole('button', { name: 'Save' }).click();
    await dialog().getByText('MTU: you wrote 4000; it is 1500 now.', { exact: false }).waitFor();
    expect(await dialog().getByLabel('MTU').inputValue()).toBe('1500');
    await dialog().getByRole('button', { name: 'Cancel' }).click();
    expect(JSON.parse(await site.croft('uplink', 'show', 'lan', '-o', 'json'))).toMatchObject({ mtu: 1500 });
  });
});

describe('a cluster', () => {
  const self = async (): Promise<string> =>
    (JSON.parse(await site.croft('vm', 'show', 'web-1', '-o', 'json')) as { node: string }).node;

  test('a machine is moved in two clicks to the best box, or to one that can take it', async () => {
    await inCluster(page, await self());
    const bodies: unknown[] = [];
    const task = { kind: 'task', id: 't1', verb: 'vm.migrate', state: 'running', progress: 0.64, cancellable: true };
    const running = {
      ...task,
      target: { kind: 'VirtualMachine', name: 'web-1', project: 'default' },
      startedAt: new Date().toISOString(),
    };
    await page.route('**/v1/vms/web-1/migrate*', (route) => {
      bodies.push(route.request().postDataJSON());
      return route.fulfill({ status: 202, contentType: 'application/json', body: JSON.stringify(running) });
    });
    await show('/vms');
    const open = async () => {
      await page.getByRole('button', { name: 'Actions for web-1' }).click();
      await page.getByRole('menuitem', { name: /^Migrate/ }).click();
    };
    await open();
    await dialog().getByText('It is “Fenced”.').waitFor();
    expect(
      await dialog()
        .getByRole('radio', { name: /^box-4/ })
        .isDisabled(),
    ).toBe(true);
    await dialog().getByRole('button', { name: 'Migrate' }).click();
    await dialog().waitFor({ state: 'detached' });
    await open();
    await dialog()
      .getByRole('radio', { name: /^box-2/ })
      .check();
    await dialog().getByRole('button', { name: 'Migrate' }).click();
    await dialog().waitFor({ state: 'detached' });
    expect(bodies).toEqual([{}, { node: 'box-2' }]);
  });

  test('how far it is stands in its row and on its page, with the way to cancel', async () => {
    await inCluster(page, await self());
    const target = { kind: 'VirtualMachine', name: 'web-1', project: 'default' };
    const task = { kind: 'task', id: 't1', verb: 'vm.migrate', target, state: 'running', progress: 0.64, cancellable: true };
    const running = { ...task, step: 'sending memory', startedAt: new Date().toISOString() };
    await page.route('**/v1/tasks?*', (route) => route.fulfill(answer([running])));
    const cancelled = page.waitForRequest('**/v1/tasks/t1/cancel*');
    await page.route('**/v1/tasks/t1/cancel*', (route) =>
      route.fulfill({ status: 202, contentType: 'application/json', body: JSON.stringify(running) }),
    );
    await show('/vms');
    await page.getByText('Migrate, 64 %: sending memory').waitFor();
    await page.getByRole('link', { name: 'web-1', exact: true }).click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await cancelled;
  });

  test('its boxes are listed, each with its state and why', async () => {
    await inCluster(page, await self());
    await show('/node');
    const row = (name: string) => page.getByRole('row').filter({ hasText: name });
    await row('box-3').getByText('It stopped answering at 10:31.').waitFor();
    await row('box-4').getByText('votes only').waitFor();
  });

  test('a machine on a disk of this box alone can’t leave, and says which disk', async () => {
    await inCluster(page, await self());
    await page.unroute('**/v1/pools*');
    await show('/vms');
    await page.getByRole('button', { name: 'Actions for web-1' }).click();
    const item = page.getByRole('menuitem', { name: /^Migrate/ });
    expect(await item.getAttribute('aria-disabled')).toBe('true');
    expect(await item.textContent()).toContain('Its disk root is in the pool local');
    await page.keyboard.press('Escape');
  });
});

test('a kubeconfig for kubectl is made with a token of its own', async () => {
  await show('/settings/kubernetes');
  await page.getByLabel('Role').selectOption('viewer');
  const downloading = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Make and download' }).click();
  const config = JSON.parse(await readFile(await (await downloading).path(), 'utf8')) as {
    clusters: { cluster: { server: string } }[];
    users: { user: { token: string } }[];
  };
  expect(config.clusters[0]?.cluster.server).toBe(site.url.replace('http:', 'https:').replace(/\/$/, ''));
  const answered = await fetch(new URL('/v1/session', site.url), {
    headers: { authorization: `Bearer ${config.users[0]?.user.token}` },
  });
  expect(await answered.json()).toMatchObject({ role: 'viewer' });
  await show('/settings/tokens');
  await page.getByText('kubeconfig of the console').waitFor();
});

test('a task tells its steps', async () => {
  await show('/activity/tasks');
  await page
    .getByRole('button', { name: /^Steps of image\./ })
    .first()
    .click();
  await expect.poll(() => page.locator('.croft-log li').count()).toBeGreaterThan(1);
});

test('a machine that isn’t as wished has the button that helps', async () => {
  await site.croft('vm', 'pause', 'web-1');
  await page.route('**/v1/vms/web-1/explain*', async (route) => {
    const real = (await (await route.fetch()).json()) as object;
    await route.fulfill({ json: { ...real, next: ['croft vm unpause web-1', 'croft volume list'] } });
  });
  await page.route('**/v1/vms/web-1?*', async (route) => {
    const real = await route.fetch();
    if (route.request().method() !== 'GET') return route.fulfill({ response: real });
    return route.fulfill({ response: real, json: { ...((await real.json()) as object), reason: 'It was paused.' } });
  });
  await show('/vms/web-1/overview');
  expect(await page.getByRole('link', { name: 'Look at the volumes' }).getAttribute('href')).toBe('/volumes');
  await page.getByRole('list', { name: 'What to do' }).getByRole('button', { name: 'Resume' }).click();
  await page.locator('[data-state=running]').first().waitFor();
});

test('single keys lead somewhere, and can be switched off', async () => {
  await show('/');
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  await page.keyboard.press('g');
  await page.keyboard.press('w');
  await page.getByRole('heading', { name: 'Networks', level: 1 }).waitFor();
  await page.keyboard.press('?');
  await dialog().getByText('Leave a guest’s console').waitFor();
  await dialog().getByLabel('Single keys lead somewhere').uncheck();
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'detached' });
  await page.keyboard.press('g');
  await page.keyboard.press('v');
  await page.keyboard.press('?');
  expect(new URL(page.url()).pathname).toBe('/networks');
  expect(await dialog().count()).toBe(0);
});
