/**
 * The console against the real service and real QEMU guests: serial by text, screen by pixels, a killed service, a VLAN
 * by packets, a snapshot put back, an upload cut midway.
 */
import { createHash, randomBytes } from 'node:crypto';
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

/** Signs in on the serial console that is open. */
async function signIn(): Promise<void> {
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
}

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
  await signIn();
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

test('a move to another VLAN is seen by packets: the switch hears the guest there, and the guest reaches who is there', {
  timeout: 240_000,
}, async () => {
  const pid = await site.box.pidOf('web-1');
  await page.getByRole('link', { name: 'Networks' }).first().click();
  await page.getByRole('button', { name: 'Create network' }).first().click();
  await page.getByRole('spinbutton', { name: /^VLAN/ }).fill('20');
  await page.getByLabel(/^Box’s address/).fill('10.99.20.1/24');
  await page.getByLabel('DHCP').check();
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
  await page.getByRole('row').filter({ hasText: 'vlan20' }).getByText('Ready').waitFor();
  await page.getByRole('link', { name: 'Virtual machines' }).first().click();
  await page.getByRole('link', { name: 'web-1', exact: true }).click();
  await page.getByRole('tab', { name: /^Network/ }).click();
  await page.getByRole('button', { name: 'Change network of nic0' }).click();
  await page.getByRole('menuitem', { name: /^vlan20/ }).click();
  // The address of before is not its any more, though the lease there lasts.
  await page.getByRole('cell', { name: /^10\.99\.20\.\d+$/ }).waitFor({ timeout: 90_000 });

  const { nics } = await site.box.vm('web-1');
  const control = join(site.box.directory, 'run/ovs/vswitchd.ctl');
  await eventually(
    async () => {
      const { stdout } = await site.box.inside(['ovs-appctl', '-t', control, 'fdb/show', 'croft0']);
      const heard = stdout.split('\n').filter((line) => line.toLowerCase().includes(nics[0]?.mac ?? 'no MAC'));
      expect(heard.map((line) => line.trim().split(/\s+/)[1])).toEqual(['20']);
    },
    { timeout: 60_000, interval: 1_000 },
  );
  await page.getByRole('tab', { name: 'Console' }).click();
  await connected();
  await page.locator('.xterm-helper-textarea').focus();
  await page.keyboard.type('\nping -c 2 10.99.20.1 > /tmp/ping; echo answered-$(grep -c from /tmp/ping)\n');
  await expect.poll(serialText, { timeout: 60_000 }).toMatch(/answered-[12]/);
  expect(await site.box.pidOf('web-1')).toBe(pid);
  expect(watched.errors).toEqual([]);
});

test('a snapshot is taken while the guest writes, and put back: the disk is as it was then', { timeout: 300_000 }, async () => {
  const say = async (command: string, answer: RegExp) => {
    await page.locator('.xterm-helper-textarea').focus();
    await page.keyboard.type(`${command}\n`);
    await expect.poll(serialText, { timeout: 60_000 }).toMatch(answer);
  };
  await page.getByRole('tab', { name: 'Console' }).click();
  await connected();
  await say('echo first > /mark; sync; echo written-$((1+0))', /written-1/);
  await page.getByRole('tab', { name: /^Snapshots/ }).click();
  await page.getByRole('button', { name: 'Take snapshot' }).first().click();
  await page.getByRole('dialog').getByRole('button', { name: 'Take snapshot' }).click();
  const row = page.getByRole('row').filter({ has: page.getByText('snapshot-1', { exact: true }) });
  await row.getByText('Ready').waitFor({ timeout: 60_000 });
  await page.getByRole('tab', { name: 'Console' }).click();
  await connected();
  await say('echo second > /mark; sync; echo written-$((1+1))', /written-2/);
  await page.getByRole('tab', { name: /^Snapshots/ }).click();
  const pid = await site.box.pidOf('web-1');
  await row.getByRole('button', { name: 'Actions for snapshot-1' }).click();
  await page.getByRole('menuitem', { name: /^Put back/ }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Put back' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await eventually(async () => expect(await site.box.pidOf('web-1')).not.toBe(pid), { timeout: 120_000, interval: 1_000 });
  await page.getByRole('tab', { name: 'Console' }).click();
  await connected();
  await signIn();
  await say('echo it-is-$(cat /mark)', /it-is-first/);
  expect(watched.errors).toEqual([]);
});

test('an upload survives a cut connection and a killed service; the box holds what came to its checksum', {
  timeout: 240_000,
}, async () => {
  const content = randomBytes(20 * 2 ** 20);
  const checksum = `sha256:${createHash('sha256').update(content).digest('hex')}`;
  let pieces = 0;
  await page.route('**/v1/images/sent/upload*', async (route) => {
    if (route.request().method() !== 'PATCH' || ++pieces !== 2) return route.continue();
    await site.box.kill();
    await route.abort('connectionreset');
    void site.box.start();
  });
  await page.getByRole('link', { name: 'Images' }).first().click();
  await page.getByRole('button', { name: 'Add image' }).first().click();
  await page.getByRole('radio', { name: 'Upload from here' }).check();
  await page.getByLabel(/^Image file/).setInputFiles({ name: 'sent.raw', mimeType: '', buffer: content });
  await page.getByLabel(/^Checksum/).fill(checksum);
  await page.getByRole('dialog').getByRole('button', { name: 'Add', exact: true }).click();
  const row = page.getByRole('row').filter({ has: page.getByText('sent', { exact: true }) });
  await row.getByText('Ready').waitFor({ timeout: 120_000 });
  expect(pieces).toBeGreaterThan(2);
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await page.getByText('The live connection is interrupted').waitFor({ state: 'detached' });
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
