/** The CLI against the real API (SQLite stores, a pretended box): that both speak of the same routes and fields. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { editStatus } from '../../../appliance/store/edit.ts';
import { startApi, type Harness } from '../../api/harness.ts';
import { runCli } from './run-cli.ts';

let api: Harness;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

const croft = (line: string | string[], stdin?: string) =>
  runCli(typeof line === 'string' ? line.split(' ') : line, {
    env: { CROFT_HOST: api.base, CROFT_TOKEN: api.tokens.admin },
    stdin,
  });

describe('the CLI on the real API', () => {
  it('makes, changes and shows a VM; show, apply and diff are a no-op', async () => {
    expect((await croft('image add https://x.example/tiny.qcow2 --name tiny --no-wait')).code).toBe(0);
    expect((await croft('network create vlan20 --vlan 20')).code).toBe(0);
    expect((await croft('vm create t1 --image tiny --cpus 1 --memory 256Mi --network vlan20 --no-wait')).code).toBe(0);
    const yaml = (await croft('vm show t1 -o yaml')).stdout;
    expect(yaml).toContain('state: provisioning\ncpus: 1\nmemory: 268435456\n');
    expect((await croft('apply -f -', yaml)).stdout).toBe('vm/t1 unchanged\n');
    expect(await croft('diff -f -', yaml)).toEqual({ code: 0, stdout: '', stderr: '' });
    const changed = await croft('diff -f -', yaml.replace('cpus: 1', 'cpus: 2'));
    expect(changed).toMatchObject({ code: 1, stdout: expect.stringContaining('+ spec.template.spec.domain.cpu.cores: 2') });
    expect((await croft('vm edit t1 --cpus 2')).code).toBe(0);
    expect((await croft('vm list --columns name,cpus,networks --no-headers')).stdout).toBe('t1  2  vlan20\n');
  });

  it('plans without doing', async () => {
    const { code, stdout } = await croft('vm create t2 --image tiny --cpus 1 --memory 256Mi --dry-run');
    expect({ code, start: stdout.split('\n').slice(0, 3) }).toEqual({
      code: 0,
      start: ['dryRun: true', 'plan:', '  - verb: create'],
    });
    expect((await croft('vm show t2')).code).toBe(3);
  });

  it('moves a NIC, attaches and detaches a disk', async () => {
    expect((await croft('vm set-network t1 --network default')).code).toBe(0);
    expect((await croft('vm attach t1 --size 1Gi')).stderr).toBe('Disk disk1 is attached to VM t1 (1 GiB, vdb).\n');
    expect((await croft('vm detach t1 disk1')).code).toBe(0);
    expect((await croft('vm set-network t1 --network nowhere')).code).toBe(2);
  });

  it('waits until the VM runs, then talks to its console', async () => {
    const waiting = croft('vm wait t1 running --timeout 20s');
    await editStatus(api.store, virtualMachine, { name: 't1', namespace: 'default' }, (draft) => {
      draft.status = { ...draft.status, printableStatus: 'Running' };
    });
    expect(await waiting).toMatchObject({ code: 0, stdout: '' });
    const { code, stdout } = await croft(['vm', 'console', 't1', '--send', 'hello', '--expect', 'hello']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'hello\r' });
    expect((await croft('vm pause t1 --no-wait')).code).toBe(0);
    expect(api.calls.acted.at(-1)).toMatchObject({ action: 'pause', vm: { name: 't1' } });
  });

  it('has users and tokens, and refuses by role', async () => {
    expect((await croft('user create ana --role viewer')).stdout).toMatch(new RegExp(`^${api.base}/setup#.+\n$`));
    const secret = (await croft('token create ci --role viewer --ttl 1d')).stdout.trim();
    const asViewer = (line: string) => runCli(line.split(' '), { env: { CROFT_HOST: api.base, CROFT_TOKEN: secret } });
    expect((await asViewer('vm list -o name')).stdout).toBe('t1\n');
    expect((await asViewer('vm stop t1')).code).toBe(4);
  });

  it('reads the rest', async () => {
    for (const line of [
      'node show',
      'task list',
      'event list',
      'pool list',
      'instancetype list',
      'volume list',
      'vm explain t1',
      'version',
    ]) {
      expect({ line, code: (await croft(line)).code }).toEqual({ line, code: 0 });
    }
  });

  it('deletes', async () => {
    expect((await croft('vm delete t1 --yes --timeout 10s')).code).toBe(0);
    expect((await croft('network delete vlan20 --yes')).code).toBe(0);
    expect((await croft('vm list')).stderr).toBe('None.\n');
  });
});

describe('a backup by the CLI', () => {
  const passphrase = 'a passphrase of some length';

  it('is made by the API and restored into an empty directory; the passphrase is never an argument', async () => {
    const file = join(api.directory, 'box.croft');
    expect((await croft(['node', 'backup', file, '--passphrase-stdin'], 'short\n')).code).toBe(2);
    const made = await croft(['node', 'backup', file, '--passphrase-stdin'], `${passphrase}\n`);
    expect(made).toMatchObject({ code: 0, stdout: '', stderr: expect.stringMatching(/holds \d+ objects/) });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const env = { CROFT_DATA: join(api.directory, 'restored'), CROFT_RUN: join(api.directory, 'r') };
    const restore = (...more: string[]) =>
      runCli(['node', 'restore', file, '--passphrase-stdin', ...more], { env, stdin: `${passphrase}\n` });
    expect(await restore()).toMatchObject({ code: 0, stderr: expect.stringContaining('This box is now the one of') });
    expect(await restore()).toMatchObject({ code: 5, stderr: expect.stringContaining("--force 'replace this box'") });
    expect((await restore('--force', 'replace this box')).code).toBe(0);
    const wrong = await runCli(['node', 'restore', file, '--passphrase-stdin'], { env, stdin: 'another passphrase\n' });
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('does not open') });
    expect((await runCli(['node', 'restore', file], { env })).code).toBe(2);
  });
});
