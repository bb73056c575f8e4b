/** A second server and an agent join the first; pods of all three are behind one Service, on every node. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { K3s } from '../../appliance/cluster/k3s.ts';
import { eventually } from '../helpers/eventually.ts';
import { getInside, labK3s, timed } from './lab-k3s.ts';
import { createLabNode, linkNodes, type LabNode } from './lab-node.ts';
import { obtainK3s, type ObtainedK3s } from './obtain-k3s.ts';

let release: ObtainedK3s;
const nodes: LabNode[] = [];
const boxes: K3s[] = [];

let panicBefore: string;

beforeAll(async () => {
  panicBefore = await readFile('/proc/sys/kernel/panic', 'utf8');
  release = await obtainK3s();
  for (const ip of ['10.99.0.1', '10.99.0.2', '10.99.0.3']) nodes.push(await createLabNode(ip));
  const [first, second, third] = nodes as [LabNode, LabNode, LabNode];
  await linkNodes(first, second);
  await linkNodes(first, third);
});

afterAll(async () => {
  for (const box of boxes) box.release();
  for (const node of nodes) await node.destroy();
  expect(await readFile('/proc/sys/kernel/panic', 'utf8')).toBe(panicBefore);
});

async function add(index: number, role: 'first' | 'server' | 'agent', token?: string): Promise<K3s> {
  const joining = token === undefined ? {} : { token, joinUrl: 'https://10.99.0.1:6443' };
  const box = labK3s(nodes[index] as LabNode, { role, nodeName: `box-${index + 1}`, ...joining });
  boxes.push(box);
  await box.install(release.binary, release.images);
  await box.configure();
  await timed(`${role} until Ready`, () => box.start());
  return box;
}

test('a server and an agent join with the token, and each sees itself Ready', async () => {
  const first = await add(0, 'first');
  const token = await first.nodeToken();
  const second = await add(1, 'server', token);
  await add(2, 'agent', token);
  const { stdout } = await second.kubectl(['get', 'nodes', '-o', 'jsonpath={.items[*].metadata.name}']);
  expect(stdout.split(' ').toSorted()).toEqual(['box-1', 'box-2', 'box-3']);
});

test('a Service answers on every node, from pods of every node', async () => {
  const first = boxes[0] as K3s;
  await first.kubectl(['create', 'deployment', 'web', '--image=croft.local/httpd:1', '--replicas=6']);
  await first.kubectl(['expose', 'deployment', 'web', '--port=80', '--target-port=8080']);
  await first.kubectl(['rollout', 'status', 'deployment/web', '--timeout=60s'], { timeout: 70_000 });
  const { stdout: placed } = await first.kubectl(['get', 'pods', '-o', 'jsonpath={.items[*].spec.nodeName}']);
  expect(new Set(placed.split(' ')).size).toBe(3);
  const { stdout: ip } = await first.kubectl(['get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}']);
  for (const node of nodes) {
    const seen = new Set<string>();
    await eventually(async () => seen.add(await getInside(node, `http://${ip}/`)).size === 6, { timeout: 60_000 });
  }
});

test('a wrong token is refused, in words', async () => {
  const node = await createLabNode('10.99.0.4');
  nodes.push(node);
  await linkNodes(nodes[0] as LabNode, node);
  const stranger = labK3s(node, { role: 'agent', nodeName: 'box-4', token: 'wrong', joinUrl: 'https://10.99.0.1:6443' });
  boxes.push(stranger);
  await stranger.install(release.binary);
  await stranger.configure();
  await expect(stranger.start(5_000)).rejects.toThrow(/not ready after 5 s/);
  const { stdout } = await node.run(['cat', join(node.directory, 'run/k3s.log')]);
  expect(stdout).toMatch(/token/);
  await stranger.stop();
});
