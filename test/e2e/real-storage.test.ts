/** The pools' page against real Ceph: disks as a map, one that dies, its replacement by the dialog, the copies' progress. */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../appliance/host/exec.ts';
import { cephMissing } from '../helpers/ceph-missing.ts';
import { usedComponent } from '../report/components.ts';
import { violations } from './accessibility.ts';
import { setUp, startBrowser, watchErrors, type TestBrowser } from './browser.ts';
import { startRealSite } from './site.ts';

// Minutes: in `npm run test:e2e`, not in `npm test`.
describe.skipIf(cephMissing() !== undefined || process.env.CROFT_LOOKS !== 'all')('the pools’ page', () => {
  let site: Awaited<ReturnType<typeof startRealSite>>;
  let chromium: TestBrowser;
  let page: Page;
  let watched: ReturnType<typeof watchErrors>;
  const disk = (name: string) => join(site.box.directory, `osd-${name}`);
  const tile = (name: string) => page.getByRole('listitem').filter({ has: page.getByText(name, { exact: true }) });
  const shoot = async (name: string): Promise<void> => {
    const shots = process.env.CROFT_E2E_SHOTS;
    if (shots) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
  };

  beforeAll(async () => {
    site = await startRealSite();
    await site.croft(
      'pool',
      'init',
      'replicated',
      '--disk',
      disk('a'),
      '--disk',
      disk('b'),
      '--size',
      '3Gi',
      '--timeout',
      '150s',
    );
    await site.croft('volume', 'create', 'filled', '--size', '1Gi', '--pool', 'replicated');
    const { id } = JSON.parse(await site.croft('volume', 'show', 'filled', '-o', 'json')) as { id: string };
    const conf = join(site.box.directory, 'data/ceph/ceph.conf');
    const bench = ['bench', '--io-type', 'write', '--io-size', '4M', '--io-threads', '2', '--io-total', '400M'];
    await site.box.inside(['rbd', '-c', conf, ...bench, `replicated/vol-${id}.g1`], { timeout: 120_000 });
    chromium = await startBrowser(site.launcher);
    page = await (await chromium.browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
    page.setDefaultTimeout(30_000);
    watched = watchErrors(page);
  }, 400_000);

  afterAll(async () => {
    await chromium?.close();
    await site?.stop();
  }, 120_000);

  test('shows disks that are well, one that dies, and how its copies come back', { timeout: 300_000 }, async () => {
    usedComponent({ component: 'Ceph', mode: 'real', note: 'disks are files' });
    await setUp(page, site.setupUrl);
    await page.goto(new URL('/settings/pools', site.url).href);
    await page.getByText('Data is 2×.').first().waitFor();
    await page.getByText('Nothing is lost if 1 disk fails now.').waitFor();
    await tile('osd.0').getByText('3 GiB').waitFor();
    await tile('osd.1').waitFor();
    expect(await violations(page)).toEqual([]);
    await shoot('pool-well');

    const { stdout } = await run(['ip', 'netns', 'pids', site.box.namespace]);
    const pids = stdout.split('\n').filter(Boolean);
    const { stdout: found } = await run(['ps', '-o', 'pid=,args=', '-p', pids.join(',')]);
    const pid = Number(/^ *(\d+) .*ceph-osd .*-i 1 /m.exec(found)?.[1]);
    await rename(disk('b'), `${disk('b')}.dead`);
    process.kill(pid, 'SIGKILL');
    await page
      .getByText(/one copy.* missing.*osd\.1 down/)
      .first()
      .waitFor({ timeout: 60_000 });
    await page.getByText('If a disk fails now, data may be lost.').waitFor();
    await shoot('pool-down');

    await run(['truncate', '-s', '3G', disk('c')]);
    await page.getByRole('button', { name: 'Replace osd.1' }).click();
    await page.getByLabel(/^Disk/).fill(disk('c'));
    await page.getByRole('dialog').getByRole('button', { name: 'Replace', exact: true }).click();
    await page.getByRole('progressbar', { name: /Copies that are there/ }).waitFor({ timeout: 90_000 });
    await shoot('pool-rebuilding');
    expect(await violations(page)).toEqual([]);
    await page.getByText('Nothing is lost if 1 disk fails now.').waitFor({ timeout: 120_000 });
    await page.getByText(disk('c')).waitFor();
    await shoot('pool-whole-again');

    await page
      .getByRole('button', { name: /^Take out osd/ })
      .first()
      .click();
    await page.getByRole('dialog').getByText('is moved to the other disks first').waitFor();
    watched.expect(/answer: 409 DELETE/);
    await page.getByRole('dialog').getByRole('button', { name: 'Take out' }).click();
    await page.getByText('keeps 2 copies and has 2 disks').waitFor();
    await shoot('pool-refused');
    expect(watched.errors).toEqual([]);
  });
});
