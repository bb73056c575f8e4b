/** The console with many machines: how soon its list can be used, how it follows keys and a burst of events, what it holds. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { openSqliteStore } from '../../appliance/store/sqlite.ts';
import { network } from '../../appliance/resources/croft-kinds.ts';
import { virtualMachine } from '../../appliance/resources/virtual-machine.ts';
import { draftVm } from '../../ui-api/server/projections/vm-draft.ts';
import { browserProgram, setUp, startBrowser } from '../e2e/browser.ts';
import { startDevSite, type Site } from '../e2e/site.ts';
import { eventually } from '../helpers/eventually.ts';
import type { Figure } from './figures.ts';

const project = 'default';
const nameOf = (index: number): string => `m-${String(index).padStart(4, '0')}`;

/** Stopped VMs as the API makes them. */
export async function storeMachines(data: string, count: number): Promise<void> {
  await mkdir(data, { recursive: true });
  const store = openSqliteStore({ path: join(data, 'store.db') });
  try {
    // The usual network has addresses for some hundreds only.
    await store.create(network, { metadata: { name: 'wide' }, spec: { vlan: 20 } });
    for (let index = 0; index < count; index++) {
      const disks = [{ name: 'root', size: '16Mi' }];
      const draft = draftVm({ name: nameOf(index), cpus: 1, memory: '16Mi', network: 'wide', disks, start: false }, project);
      // Without disks: it is the console that is measured, not how fast a thousand disks are made.
      const { spec } = draft.spec.template;
      spec.volumes = [];
      spec.domain.devices.disks = [];
      draft.spec.dataVolumeTemplates = [];
      await store.create(virtualMachine, draft);
    }
  } finally {
    await store.close();
  }
}

/**
 * Watches the page from within: when the list has rows, tasks of its one thread beyond 50 ms, the time from each key to
 * the picture after it, and which VMs' changes arrived.
 */
const watcher = `
  window.bench = { usable: undefined, long: [], keys: [], events: [] };
  const look = () => {
    if (document.querySelectorAll('tbody tr').length >= 50) bench.usable = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) bench.long.push(duration);
  }).observe({ type: 'longtask', buffered: true });
  addEventListener('keydown', () => {
    const begun = performance.now();
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => bench.keys.push(performance.now() - begun);
      port2.postMessage(0);
    });
  }, true);
  const Plain = EventSource;
  window.EventSource = class extends Plain {
    constructor(...given) {
      super(...given);
      this.addEventListener('vm', ({ data }) => bench.events.push(JSON.parse(data).name));
    }
  };
`;

const read = <T>(page: Page, expression: string): Promise<T> => page.evaluate<T>(expression);
const takeLong = (page: Page): Promise<number[]> => read(page, 'bench.long.splice(0)');

/** MiB on the page's heap once what nobody needs is gone. */
async function heapOf(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  await session.detach();
  return usedSize / 2 ** 20;
}

/** Loads the list anew; ms until its rows stand. */
async function load(page: Page, site: Site): Promise<number> {
  await page.goto(new URL('/vms', site.url).href);
  // Asked for from here: the page's content policy lets nothing be evaluated within.
  await eventually(() => read<boolean>(page, 'bench.usable !== undefined'), { timeout: 60_000, interval: 100 });
  return read(page, 'bench.usable');
}

async function typeFilter(page: Page): Promise<number[]> {
  const field = page.getByRole('textbox', { name: /^Filter/ });
  await field.click();
  await page.keyboard.type('state:stopped m-07', { delay: 120 });
  for (let presses = 0; presses < 6; presses++) await page.keyboard.press('Backspace', { delay: 20 });
  await eventually(async () => (await read<number>(page, 'bench.keys.length')) >= 24, { timeout: 20_000, interval: 50 });
  await field.fill('');
  return read(page, 'bench.keys.splice(0)');
}

/** Gives every VM a label as fast as the browser sends; resolves to the changes that the page never heard of, and whether its list shows all. */
async function burst(page: Page, count: number): Promise<{ lost: number; seconds: number; shown: boolean }> {
  const names = Array.from({ length: count }, (_, index) => nameOf(index));
  const begun = performance.now();
  // From within the page: its own session, and the browser's own limit of connections.
  await page.evaluate(async (all: string[]) => {
    const queue = [...all];
    const headers = { 'x-croft-csrf': '1', 'content-type': 'application/merge-patch+json', 'if-match': '*' };
    const work = async () => {
      for (let name = queue.shift(); name !== undefined; name = queue.shift())
        await fetch(`/v1/vms/${name}`, { method: 'PATCH', headers, body: '{"labels":{"bench":"burst"}}' });
    };
    await Promise.all(Array.from({ length: 4 }, work));
  }, names);
  const seconds = (performance.now() - begun) / 1_000;
  await page.getByRole('textbox', { name: /^Filter/ }).fill('bench=burst');
  const shown = await page
    .getByText(new RegExp(`^${count}$`))
    .first()
    .waitFor({ timeout: 60_000 })
    .then(
      () => true,
      () => false,
    );
  const heard = new Set(await read<string[]>(page, 'bench.events'));
  return { lost: names.filter((name) => !heard.has(name)).length, seconds, shown };
}

/** None where there is no browser. */
export async function measureConsole(count: number, rounds: number): Promise<Figure[]> {
  if (!existsSync(browserProgram)) return [];
  const site = await startDevSite({ prepare: (data) => storeMachines(data, count) });
  const { browser, close } = await startBrowser();
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    await context.addInitScript(watcher);
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    await setUp(page, site.setupUrl);
    await load(page, site);
    process.stderr.write('  the list has rows\n');
    const [usable, keys, long]: [number[], number[], number[]] = [[], [], []];
    for (let round = 0; round < rounds; round++) {
      usable.push((await load(page, site)) / 1_000);
      keys.push(...(await typeFilter(page)));
      long.push(...(await takeLong(page)));
    }
    const { lost, seconds, shown } = await burst(page, count);
    const longInBurst = await takeLong(page);
    const heap = await heapOf(page);
    const worst = (values: number[]): number => Math.max(0, ...values);
    const how = `Chromium, headless, on the simulated drivers with ${count} VMs; browser and service share the cores.`;
    return [
      {
        name: `Console: list of ${count} VMs can be used`,
        ours: usable,
        unit: 's',
        goal: '≤ 1.5 s',
        how: `${rounds} loads of the page, from the navigation until its rows stand. ${how}`,
      },
      {
        name: 'Console: a key in the filter, worst',
        ours: [worst(keys)],
        unit: 'ms',
        goal: '≤ 100 ms',
        how: `From the key to the picture after it, ${keys.length} keys; the median was ${Math.round(keys.toSorted((a, b) => a - b)[keys.length >> 1] ?? 0)} ms.`,
      },
      {
        name: 'Console: longest task of the page',
        ours: [worst(long)],
        unit: 'ms',
        goal: '≤ 200 ms',
        how: `While the list is loaded and filtered. In the burst below: ${Math.round(worst(longInBurst))} ms.`,
      },
      {
        name: 'Console: heap of the page',
        ours: [heap],
        unit: 'MiB',
        goal: '≤ 150 MiB',
        how: 'After all of this, garbage collected.',
      },
      {
        name: `Console: changes lost of ${count}`,
        ours: [lost],
        unit: 'changes',
        goal: '0',
        how: `Every VM is given a label, as fast as the browser sends: ${seconds.toFixed(1)} s. The list ${shown ? 'showed all of them at the end' : 'did not show all of them within a minute'}.`,
      },
    ];
  } finally {
    await close();
    await site.stop();
  }
}
