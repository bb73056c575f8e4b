import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { json, problem, startFakeApi, vmNamed, type FakeApi } from './fake-api.ts';
import { runCli, type RunOptions } from './run-cli.ts';

let api: FakeApi;
let directory: string;
beforeEach(async () => {
  api = await startFakeApi();
  directory = mkdtempSync(join(tmpdir(), 'croft-cli-'));
});
afterEach(async () => {
  await api.close();
  rmSync(directory, { recursive: true });
});

/** Splits at spaces; quote with arrays instead. */
const croft = (line: string | string[], options: RunOptions = {}) =>
  runCli(typeof line === 'string' ? line.split(' ') : line, { ...options, env: { CROFT_HOST: api.url, ...options.env } });

describe('other nouns', () => {
  it('image build waits until ready', async () => {
    api.routes['POST /v1/images'] = ({ body }, response) => {
      api.objects.images = [{ kind: 'image', ...(body as object), states: ['building', 'ready'] }];
      json(response, 201, api.objects.images[0]);
    };
    expect((await croft('image build tiny')).stderr).toMatch(/^Image tiny is ready/);
    expect(api.seen[0]?.body).toEqual({ name: 'tiny', source: { build: 'tiny' } });
  });

  it('image add fails with the reason of the image', async () => {
    api.routes['POST /v1/images'] = ({ body }, response) => {
      api.objects.images = [{ ...(body as object), state: 'failed', reason: 'the server said 404' }];
      json(response, 201, api.objects.images[0]);
    };
    const { code, stderr } = await croft('image add https://x.example/deb.qcow2');
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'croft: Image deb: failed: the server said 404\n' });
    expect(api.seen[0]?.body).toEqual({ name: 'deb', source: { url: 'https://x.example/deb.qcow2' } });
  });

  it('image add takes a name or an alias of the catalogue, and says what was meant', async () => {
    const entry = { name: 'ubuntu-24.04', title: 'Ubuntu', aliases: ['ubuntu'], url: 'https://x', user: 'ubuntu' };
    api.routes['GET /v1/image-catalogue'] = (_request, response) => json(response, 200, { items: [entry] });
    api.routes['POST /v1/images'] = ({ body }, response) => {
      api.objects.images = [{ kind: 'image', ...(body as object), state: 'ready' }];
      json(response, 201, api.objects.images[0]);
    };
    expect((await croft('image add ubuntu')).code).toBe(0);
    const sent = api.seen.find(({ method }) => method === 'POST');
    expect(sent?.body).toEqual({ name: 'ubuntu-24-04', source: { catalogue: 'ubuntu-24.04' } });
    const wrong = await croft('image add ubuntu-24.4');
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('Did you mean ubuntu-24.04?');
    expect((await croft('image catalogue')).stdout).toMatch(/ubuntu-24.04 +Ubuntu +ubuntu/);
  });

  it('network create sends what was given', async () => {
    await croft('network create prod --vlan 20 --address 10.20.0.1/24 --dhcp');
    expect(api.seen[0]?.body).toEqual({ name: 'prod', vlan: 20, address: '10.20.0.1/24', dhcp: true });
  });

  it('token create prints its secret alone on standard output', async () => {
    api.routes['POST /v1/tokens'] = (_request, response) => json(response, 201, { name: 'ci', secret: 'croft_x' });
    expect((await croft('token create ci --role operator --ttl 30d')).stdout).toBe('croft_x\n');
    expect(api.seen[0]?.body).toEqual({ name: 'ci', role: 'operator', ttlSeconds: 2_592_000 });
  });

  it('task watch fails as the task fails', async () => {
    api.objects.tasks = [
      { id: 't-1', name: 't-1', verb: 'image.build', state: 'failed', progress: 0.4, error: { code: 'x', detail: 'disk full' } },
    ];
    const { code, stderr } = await croft('task watch t-1');
    expect(code).toBe(1);
    expect(stderr).toContain('croft: Task t-1 failed: disk full\n');
  });

  it('vm explain is for people', async () => {
    const answer = {
      state: 'error-unschedulable',
      sentence: 'It needs 8 GiB.',
      next: ['Stop another VM.'],
      evidence: [{ text: 'free: 3 GiB' }],
    };
    api.routes['GET /v1/vms/a/explain'] = (_request, response) => json(response, 200, answer);
    expect((await croft('vm explain a')).stdout).toBe(
      'error-unschedulable: It needs 8 GiB.\n  Next: Stop another VM.\n  free: 3 GiB\n',
    );
  });

  it('snapshot create waits and prints the name', async () => {
    const ready = { name: 's1', state: 'ready' };
    api.routes['POST /v1/vms/a/snapshots'] = (_request, response) => json(response, 201, ready);
    api.routes['GET /v1/vms/a/snapshots/s1'] = (_request, response) => json(response, 200, ready);
    expect((await croft('snapshot create a s1')).stdout).toBe('s1\n');
  });

  it('api speaks raw', async () => {
    api.objects.vms = [vmNamed('a')];
    expect(JSON.parse((await croft('api GET /v1/vms')).stdout)).toMatchObject({ items: [{ name: 'a' }] });
    expect((await croft('api /v1/vms -o jsonpath={.items[0].name}')).stdout).toBe('a\n');
    await croft(['api', 'POST', '/v1/vms', '-d', '{"name":"b"}']);
    expect(api.seen.at(-1)?.body).toEqual({ name: 'b' });
  });
});

describe('manifests', () => {
  beforeEach(() => {
    api.routes['POST /v1/apply'] = ({ query }, response) =>
      json(
        response,
        200,
        query.dryRun
          ? {
              dryRun: true,
              plan: [
                {
                  verb: 'update',
                  kind: 'VirtualMachine',
                  name: 'a',
                  project: 'default',
                  changes: [{ path: 'spec.x', from: 1, to: 2 }],
                },
              ],
            }
          : { items: [{ kind: 'vm', name: 'a', result: 'changed' }] },
      );
  });

  it('apply sends files, directories and standard input as one stream', async () => {
    writeFileSync(join(directory, 'a.yaml'), 'kind: vm\nname: a');
    writeFileSync(join(directory, 'b.json'), '{"kind":"network","name":"n"}\n');
    writeFileSync(join(directory, 'notes.txt'), 'no');
    const { stdout } = await croft(['apply', '-f', directory, '-f', '-'], { stdin: 'kind: vm\nname: c\n' });
    expect(stdout).toBe('vm/a changed\n');
    expect(api.seen[0]?.body).toBe('kind: vm\nname: a\n---\n{"kind":"network","name":"n"}\n---\nkind: vm\nname: c\n');
  });

  it('diff exits 1 when something would change, 0 when nothing, 2 and more on failure', async () => {
    writeFileSync(join(directory, 'a.yaml'), 'kind: vm\nname: a\n');
    const line = ['diff', '-f', join(directory, 'a.yaml')];
    expect(await croft(line)).toEqual({
      code: 1,
      stdout: 'update VirtualMachine default/a\n  - spec.x: 1\n  + spec.x: 2\n',
      stderr: '',
    });
    api.routes['POST /v1/apply'] = (_request, response) => json(response, 200, { dryRun: true, plan: [] });
    expect(await croft(line)).toEqual({ code: 0, stdout: '', stderr: '' });
    api.routes['POST /v1/apply'] = (_request, response) => problem(response, 500, 'internal', 'Broken.');
    expect((await croft(line)).code).toBe(2);
  });

  it('names the file that is not YAML', async () => {
    writeFileSync(join(directory, 'bad.yaml'), 'a: [');
    const { code, stderr } = await croft(['apply', '-f', join(directory, 'bad.yaml')]);
    expect(code).toBe(2);
    expect(stderr).toContain('bad.yaml is not readable as YAML');
  });
});
