/** What the API of a cluster's box answers, for pages that simulated drivers, which are one box, cannot fill. */
import type { Page } from 'playwright-core';

const box = (name: string, more: object = {}) => ({
  kind: 'node',
  name,
  state: 'ready',
  version: '0.1.0',
  cpus: 8,
  memory: 64 * 2 ** 30,
  role: 'voter',
  address: `192.0.2.${name.at(-1)}`,
  components: [],
  conditions: [],
  ...more,
});

/** A box like any other, one that is fenced, one that votes only; the present one keeps its name. */
const others = [
  box('box-2'),
  box('box-3', { state: 'fenced', conditions: [{ type: 'Ready', status: 'False', message: 'It stopped answering at 10:31.' }] }),
  box('box-4', { witness: true }),
];

export const answer = (items: unknown[]) => ({ contentType: 'application/json', body: JSON.stringify({ items }) });

/** `node`: name of the box that the page is of. Disks are in a pool that all boxes reach. */
export async function inCluster(page: Page, node: string): Promise<void> {
  await page.route('**/v1/nodes*', (route) => route.fulfill(answer([box(node), ...others])));
  const pool = { kind: 'pool', name: 'local', driver: 'rbd', state: 'ready', conditions: [] };
  await page.route('**/v1/pools*', (route) => route.fulfill(answer([pool])));
}
