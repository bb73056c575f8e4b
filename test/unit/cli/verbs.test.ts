import { mkdtempSync, rmSync } from 'node:fs';
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
const requests = () => api.seen.map(({ method, path }) => `${method} ${path}`);

describe('vm create', () => {
  it('sends the flat object, waits, and says so on standard error', async () => {
    const line =
      'vm create t1 --image tiny --cpus 1 --memory 256Mi --network vlan20 --network lan --label a=b --disk size=1Gi,name=data';
    const { code, stdout, stderr } = await croft(line);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toMatch(/^VM t1 is running \(\d+\.\d s\)\.\n$/);
    expect(api.seen[0]?.body).toEqual({
      name: 't1',
      image: 'tiny',
      cpus: 1,
      memory: '256Mi',
      disks: [{ size: '1Gi', name: 'data' }],
      nics: [{ network: 'vlan20' }, { network: 'lan' }],
      labels: { a: 'b' },
    });
    expect(api.seen[1]).toMatchObject({ path: '/v1/vms/t1', query: { waitFor: 'running' } });
  });

  it('prints the object with -o, the id with --no-wait', async () => {
    expect(JSON.parse((await croft('vm create t1 --image tiny -o json')).stdout)).toMatchObject({ name: 't1', state: 'running' });
    expect((await croft('vm create t2 --image tiny --no-wait')).stdout).toBe(`${String(vmNamed('t2').id)}\n`);
  });

  it('gives up early with the reason when the VM cannot start', async () => {
    api.routes['GET /v1/vms/big'] = (_request, response) =>
      json(response, 200, vmNamed('big', { state: 'error-unschedulable', reason: 'needs 8 GiB; most free is 3.2 GiB' }));
    const { code, stderr } = await croft('vm create big --image tiny');
    expect(code).toBe(1);
    expect(stderr).toBe('croft: VM big: error-unschedulable: needs 8 GiB; most free is 3.2 GiB. See: croft vm explain big\n');
  });

  it('plans only, with --dry-run', async () => {
    const { code, stdout } = await croft('vm create t1 --image tiny --dry-run');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^dryRun: true\nplan: \[\]\n/);
    expect(api.objects.vms).toEqual([]);
  });
});

describe('lists', () => {
  it('are tables by default', async () => {
    api.objects.vms = [vmNamed('web-1', { createdAt: undefined }), vmNamed('db-1', { state: 'stopped', addresses: [] })];
    const { stdout } = await croft('vm list --columns name,state,memory,addresses --sort name');
    expect(stdout).toBe('NAME   STATE    MEMORY   ADDRESSES\ndb-1   stopped  256 MiB  -\nweb-1  running  256 MiB  10.43.0.9\n');
  });

  it('say None on standard error only', async () => {
    expect(await croft('image list')).toEqual({ code: 0, stdout: '', stderr: 'None.\n' });
    expect((await croft('image list -o json')).stdout).toBe('{\n  "items": []\n}\n');
  });

  it('follow changes with --watch until interrupted', async () => {
    api.objects.vms = [vmNamed('a')];
    const stop = new AbortController();
    let text = '';
    const onStdout = (more: string) => {
      text += more;
    };
    const running = croft('vm list --watch --columns name,state', { signal: stop.signal, onStdout });
    await expect.poll(() => text).toBe('NAME  STATE\na     running\n');
    api.objects.vms = [vmNamed('a', { state: 'stopped' })];
    await expect.poll(() => (api.sendEvent('event: vm\ndata: {}\n\n'), text), { timeout: 4000 }).toContain('a  stopped\n');
    stop.abort();
    expect(await running).toMatchObject({ code: 130, stderr: '' });
  });
});

describe('waiting', () => {
  it('walks through states and shows them on a terminal', async () => {
    api.objects.vms = [vmNamed('slow', { states: ['provisioning', 'starting', 'running'] })];
    const { code, stderr } = await croft('vm wait slow running --timeout 10s', { terminal: 80 });
    expect(code).toBe(0);
    expect(stderr).toContain('VM slow: provisioning … 0 s');
    expect(stderr).toMatch(/VM slow is running \(\d\.\d s\)\.\n$/);
  });

  it('ends with 6 after --timeout', async () => {
    api.objects.vms = [vmNamed('stuck', { state: 'starting' })];
    const { code, stderr } = await croft('vm wait stuck running --timeout 300ms');
    expect(code).toBe(6);
    expect(stderr).toBe(
      'croft: VM stuck is not running after 0 s: starting.\n  The work goes on. To wait again: croft vm wait stuck running\n',
    );
  });

  it('ends with 130 at Ctrl-C and says how to go on', async () => {
    api.objects.vms = [vmNamed('stuck', { state: 'starting', addresses: [] })];
    const stop = new AbortController();
    const running = croft('vm wait stuck ip', { signal: stop.signal });
    await expect.poll(() => api.seen.length).toBeGreaterThan(0);
    stop.abort();
    const { code, stderr } = await running;
    expect({ code, stderr }).toEqual({
      code: 130,
      stderr: 'croft: Stopped waiting for VM stuck; the work goes on.\n  To wait again: croft vm wait stuck ip\n',
    });
  });

  it('bridges a restart of the service', async () => {
    let looks = 0;
    api.routes['GET /v1/vms/a'] = (_request, response) => {
      looks += 1;
      if (looks === 2) response.destroy();
      else json(response, 200, vmNamed('a', { state: looks > 2 ? 'running' : 'starting' }));
    };
    expect((await croft('vm wait a running --timeout 10s')).code).toBe(0);
  });

  it('knows what can be waited for', async () => {
    const { code, stderr } = await croft('vm wait a runing');
    expect(code).toBe(2);
    expect(stderr).toContain('"runing" cannot be waited for');
  });
});

describe('actions', () => {
  it('stop waits for stopped; --force asks for it', async () => {
    api.objects.vms = [vmNamed('a', { states: ['stopping', 'stopped'] })];
    const { code, stderr } = await croft('vm stop a --force');
    expect(code).toBe(0);
    expect(stderr).toContain('VM a is stopped');
    expect(api.seen[0]).toMatchObject({ method: 'POST', path: '/v1/vms/a/stop', body: { force: true } });
  });

  it('--all takes those it applies to', async () => {
    api.objects.vms = [
      vmNamed('a'),
      vmNamed('b', { state: 'stopped' }),
      vmNamed('c', { states: ['running', 'running', 'stopped'] }),
    ];
    await croft('vm stop --all --no-wait');
    expect(requests()).toEqual(['GET /v1/vms', 'POST /v1/vms/a/stop', 'POST /v1/vms/c/stop']);
  });

  it('need names', async () => {
    expect((await croft('vm start')).code).toBe(2);
    expect((await croft('vm start a --all')).code).toBe(2);
  });
});

describe('deletion', () => {
  it('tells its effect and needs --yes off a terminal', async () => {
    api.objects.vms = [vmNamed('a')];
    const { code, stderr } = await croft('vm delete a');
    expect(code).toBe(2);
    expect(stderr).toBe(
      'croft: This deletes VM a and its 1 disk(s), 1 GiB. Nothing was done: this needs a yes.\n  Repeat the command with --yes.\n',
    );
    expect(requests()).toEqual(['GET /v1/vms/a']);
  });

  it('deletes disks too unless told otherwise, and waits', async () => {
    api.objects.vms = [vmNamed('a'), vmNamed('b')];
    expect((await croft('vm delete a --yes')).stderr).toMatch(/^VM a is deleted/);
    expect(api.seen[0]).toMatchObject({ method: 'DELETE', query: { deleteDisks: 'true' } });
    expect(api.seen[0]?.headers['if-match']).toBe('*');
    await croft('vm rm b --yes --keep-disks');
    expect(api.seen.findLast(({ method }) => method === 'DELETE')?.query).toEqual({ deleteDisks: 'false' });
  });
});

describe('devices', () => {
  it('the only NIC needs no name', async () => {
    api.objects.vms = [vmNamed('a')];
    api.routes['PUT /v1/vms/a/nics/nic0'] = (_request, response) => json(response, 200, vmNamed('a'));
    expect((await croft('vm set-network a --network vlan30')).stderr).toBe('NIC nic0 of VM a is on network vlan30.\n');
    expect(api.seen[1]?.body).toEqual({ network: 'vlan30' });
  });

  it('of several one must be named', async () => {
    api.objects.vms = [
      vmNamed('a', {
        nics: [
          { name: 'nic0', network: 'x' },
          { name: 'nic1', network: 'y' },
        ],
      }),
    ];
    const { code, stderr } = await croft('vm set-network a --network z');
    expect(code).toBe(2);
    expect(stderr).toBe('croft: Say which NIC with --nic.\n  VM a has nic0, nic1.\n');
    expect((await croft('vm set-network a --network z --nic nic3')).stderr).toContain('did you mean nic0?');
  });

  it('attach says which device it became', async () => {
    api.objects.vms = [vmNamed('a')];
    api.routes['POST /v1/vms/a/disks'] = (_request, response) => {
      const disks = [...(vmNamed('a').disks as object[]), { name: 'disk1', size: 2 ** 31, bus: 'virtio', device: 'vdb' }];
      api.objects.vms = [vmNamed('a', { disks })];
      json(response, 201, api.objects.vms[0]);
    };
    expect((await croft('vm attach a --size 2Gi')).stderr).toBe('Disk disk1 is attached to VM a (2 GiB, vdb).\n');
  });
});

describe('failures', () => {
  it.each([
    [400, 2],
    [401, 4],
    [403, 4],
    [409, 5],
    [412, 5],
    [422, 1],
    [500, 1],
    [503, 1],
    [507, 1],
  ])('HTTP %i exits with %i', async (status, expected) => {
    api.routes['GET /v1/vms'] = (_request, response) => problem(response, status, 'code', 'No.');
    expect((await croft('vm list')).code).toBe(expected);
  });

  it('print cause, fields, fix, code and trace', async () => {
    api.routes['POST /v1/vms'] = (_request, response) =>
      problem(response, 400, 'invalid-input', 'The request has 2 wrong fields.', {
        errors: [{ pointer: '/disks/0/size', detail: 'not a size' }],
        fix: ['Correct it.'],
      });
    expect((await croft('vm create a')).stderr).toBe(
      'croft: The request has 2 wrong fields.\n  disks.0.size: not a size\n  To fix: Correct it.\n  Code: invalid-input, trace trace-1\n',
    );
  });

  it('suggest the name that was meant', async () => {
    api.objects.vms = [vmNamed('web-1')];
    const { code, stderr } = await croft('vm show wbe-1');
    expect(code).toBe(3);
    expect(stderr).toMatch(/Did you mean web-1\?\n/);
  });

  it('are 7 when nothing listens, with the next step', async () => {
    const { code, stderr } = await runCli(['vm', 'list'], { env: { CROFT_RUN: directory } });
    expect(code).toBe(7);
    expect(stderr).toBe(
      `croft: Croft does not run at ${directory}/api/api.sock (from CROFT_RUN).\n  To fix: start it there (npm start), or name another with --host, CROFT_HOST or croft login.\n`,
    );
  });

  it.each([
    [['vn', 'list'], 'Did you mean vm?'],
    [['vm', 'lsit'], 'Did you mean list?'],
    [['vm', 'list', '--sorted'], 'Did you mean --sort?'],
    [['vm', 'create'], "missing required argument 'name'"],
    [['vm', 'create', 'a', '--cpus', 'two'], 'Write a whole number.'],
    [['vm', 'list', '--columns', 'nmae'], 'did you mean name?'],
    [['vm', 'list', '-o', 'xml'], 'not an output format'],
    [[], 'Usage: croft'],
    [['vm'], 'Usage: croft vm'],
  ])('%j is wrong usage', async (argv, text) => {
    const { code, stdout, stderr } = await croft(argv);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(text);
  });

  it('help is data', async () => {
    const { code, stdout, stderr } = await croft('vm create --help');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Usage: croft vm create \[options\] <name>\n/);
  });
});
