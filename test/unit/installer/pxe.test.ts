/** Installations over the network, as machines see them: scripts, files, answers for each, and who is done. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkAnswers, createPxeServer } from '../../../installer/pxe/server.ts';
import { dnsmasqArguments, macName } from '../../../installer/pxe/scripts.ts';

const mac = '52-54-00-12-34-56';
const answers = 'version: 1\nhostname: box2\nsystemDisk: auto\n';

let directory: string;
let server: Server;
let base: string;
let said: string[];

beforeEach(async () => {
  said = [];
  directory = await mkdtemp(join(tmpdir(), 'croft-pxe-'));
  for (const folder of ['medium/live', 'medium/croft', 'answers']) await mkdir(join(directory, folder), { recursive: true });
  await writeFile(join(directory, 'medium/live/vmlinuz'), 'kernel');
  await writeFile(join(directory, 'medium/secret'), 'secret');
  await writeFile(join(directory, 'answers', `${mac}.yaml`), answers);
  server = createPxeServer({
    medium: join(directory, 'medium'),
    answers: join(directory, 'answers'),
    base: () => base,
    kernelArguments: 'quiet',
    print: (line) => said.push(line),
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  await rm(directory, { recursive: true });
});

const get = async (path: string, init?: RequestInit) => {
  const response = await fetch(`${base}/${path}`, init);
  return { status: response.status, text: await response.text() };
};

test('a machine with answers is installed once, others go on', async () => {
  expect((await get('boot.ipxe')).text).toContain(`chain ${base}/machine/\${mac:hexhyp}.ipxe || exit`);
  const { text } = await get(`machine/${mac}.ipxe`);
  expect(text).toMatch(/^#!ipxe\nkernel /);
  for (const word of [
    `fetch=${base}/live/filesystem.squashfs`,
    `croft.answers=${base}/machine/${mac}.yaml`,
    'initrd=initrd.img',
    'quiet',
  ])
    expect(text).toContain(` ${word}`);
  expect(await get(`machine/${mac}.yaml`)).toEqual({ status: 200, text: answers });
  expect((await get('machine/52-54-00-00-00-01.ipxe')).text).toContain('\nexit\n');
  expect((await get('machine/52-54-00-00-00-01.yaml')).status).toBe(404);

  expect((await get(`machine/${mac}/installed`, { method: 'POST' })).status).toBe(204);
  expect(await readFile(join(directory, 'answers/installed'), 'utf8')).toBe(`${mac}\n`);
  const after = (await get(`machine/${mac}.ipxe`)).text;
  expect(after).toContain('\nexit\n');
  expect(after).not.toContain('kernel');
  expect(said.at(-1)).toBe(`${mac} is installed; it starts from its disk from now on`);
});

test('serves the release and nothing else', async () => {
  expect(await get('live/vmlinuz')).toEqual({ status: 200, text: 'kernel' });
  for (const path of ['secret', 'live/../secret', '%2e%2e/answers/installed', 'live/', `machine/..%2f${mac}.yaml`])
    expect((await get(path)).status).toBe(404);
  expect((await get('live/vmlinuz', { method: 'PUT' })).status).toBe(405);
});

test('answers for all others, and wrong ones', async () => {
  await writeFile(join(directory, 'answers/default.yaml'), answers);
  expect((await get('machine/52-54-00-00-00-01.ipxe')).text).toContain('kernel');
  expect(await checkAnswers(join(directory, 'answers'))).toBe(2);
  await writeFile(join(directory, 'answers/default.yaml'), 'version: 2\n');
  await expect(checkAnswers(join(directory, 'answers'))).rejects.toThrow(/default\.yaml: .*version: 2 must be 1/);
  expect((await get('machine/52-54-00-00-00-01.ipxe')).status).toBe(500);
  await rm(join(directory, 'answers/default.yaml'));
  await writeFile(join(directory, 'answers/box2.yaml'), answers);
  await expect(checkAnswers(join(directory, 'answers'))).rejects.toThrow(/must be called default\.yaml, or MAC\.yaml/);
  await rm(join(directory, 'answers'), { recursive: true });
  await mkdir(join(directory, 'answers'));
  await expect(checkAnswers(join(directory, 'answers'))).rejects.toMatchObject({ code: 'not-found' });
});

test('addresses are given where asked for, else only what to start', () => {
  const plan = { interface: 'eth1', address: '192.0.2.1', loaders: '/l', base: 'http://192.0.2.1:8441', leases: '/x' };
  const own = dnsmasqArguments({ ...plan, range: '192.0.2.50-192.0.2.99' });
  expect(own).toContain('--dhcp-range=192.0.2.50,192.0.2.99,1h');
  expect(own).toContain('--dhcp-boot=tag:ipxe,http://192.0.2.1:8441/boot.ipxe');
  expect(dnsmasqArguments(plan)).toContain('--dhcp-range=192.0.2.1,proxy');
  expect(() => dnsmasqArguments({ ...plan, range: '192.0.2.50' })).toThrow(/is not FIRST-LAST/);
  expect(macName('52:54:00:AB:34:56')).toBe('52-54-00-ab-34-56');
  expect(macName('../x')).toBeUndefined();
});
