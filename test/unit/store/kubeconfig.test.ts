/** Kubeconfig files as k3s, kubeadm and the box itself write them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { readKubeconfig } from '../../../appliance/store/kubeconfig.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'croft-kubeconfig-'));
});
afterEach(() => rm(directory, { recursive: true }));

const base64 = (text: string): string => Buffer.from(text).toString('base64');

async function read(user: object, cluster: object = {}) {
  const path = join(directory, 'config');
  const text = stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'mine',
    clusters: [
      { name: 'other', cluster: { server: 'https://192.0.2.9:6443' } },
      { name: 'k', cluster: { server: 'https://127.0.0.1:6443', 'certificate-authority-data': base64('CA'), ...cluster } },
    ],
    contexts: [{ name: 'mine', context: { cluster: 'k', user: 'u' } }],
    users: [{ name: 'u', user }],
  });
  await writeFile(path, text);
  return readKubeconfig(path);
}
async function options(user: object, cluster?: object): Promise<RequestOptions> {
  const made: RequestOptions = { headers: { accept: 'x' } };
  await (await read(user, cluster)).apply(made);
  return made;
}

test('a certificate in the file, as k3s writes it', async () => {
  const user = { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') };
  expect(await read(user)).toMatchObject({ server: 'https://127.0.0.1:6443', ca: Buffer.from('CA') });
  expect(await options(user)).toEqual({
    headers: { accept: 'x' },
    ca: Buffer.from('CA'),
    cert: Buffer.from('CERT'),
    key: Buffer.from('KEY'),
  });
});

test('files beside it, read anew when they are renewed', async () => {
  for (const name of ['ca', 'cert', 'key']) await writeFile(join(directory, name), name);
  const user = { 'client-certificate': 'cert', 'client-key': join(directory, 'key') };
  const access = await read(user, { 'certificate-authority-data': undefined, 'certificate-authority': 'ca' });
  const made: RequestOptions = {};
  await access.apply(made);
  expect(made).toEqual({ ca: Buffer.from('ca'), cert: Buffer.from('cert'), key: Buffer.from('key') });
  await writeFile(join(directory, 'cert'), 'renewed');
  await access.apply(made);
  expect(made.cert).toEqual(Buffer.from('renewed'));
});

test('tokens, from the file or from another that is renewed; passwords; no check; another name', async () => {
  expect((await options({ token: 'abc' })).headers).toEqual({ accept: 'x', authorization: 'Bearer abc' });
  const token = join(directory, 'token');
  await writeFile(token, 'one\n');
  const access = await read({ 'auth-provider': { name: 'tokenFile', config: { tokenFile: token } } });
  const made: RequestOptions = {};
  await access.apply(made);
  expect(made.headers).toEqual({ authorization: 'Bearer one' });
  await writeFile(token, 'two');
  await access.apply(made);
  expect(made.headers).toEqual({ authorization: 'Bearer two' });
  expect((await options({ username: 'ada', password: 'secret' })).auth).toBe('ada:secret');
  const cluster = { 'insecure-skip-tls-verify': true, 'tls-server-name': 'k.example' };
  expect(await options({ token: 'abc' }, cluster)).toMatchObject({ rejectUnauthorized: false, servername: 'k.example' });
});

test('what only the official client can is asked of it', async () => {
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: '/bin/echo',
    args: ['{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from-exec"}}'],
    interactiveMode: 'Never',
  };
  expect((await options({ exec })).headers).toMatchObject({ Authorization: 'Bearer from-exec' });
}, 60_000);

test.each([
  ['', /is no kubeconfig: it is no mapping/],
  ['a: [', /is no kubeconfig/],
  ['apiVersion: v1\nkind: Config\n', /names no current cluster/],
])('%j is refused', async (text, message) => {
  await writeFile(join(directory, 'config'), text);
  expect(() => readKubeconfig(join(directory, 'config'))).toThrow(message);
});
