/** `croft vm ssh` and `vm port-forward`: the command line for ssh, and bytes into a guest through the API. */
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { virtualMachine, virtualMachineInstance } from '../../../appliance/resources/virtual-machine.ts';
import { editStatus } from '../../../appliance/store/edit.ts';
import type { Vm } from '../../../ui-api/client/types.ts';
import { sshArguments } from '../../../ui-api/cli/nouns/vm-ssh.ts';
import { refuseOwn } from '../../../ui-api/server/guest-connection.ts';
import { startApi, type Harness } from '../../api/harness.ts';
import { runCli } from './run-cli.ts';

const vm = { id: '0190c0de-0000-7000-8000-000000000001', name: 'web' } as Vm;

describe('sshArguments', () => {
  it('keeps host keys by the VM, and passes the rest on as it is', () => {
    expect(
      sshArguments(vm, '10.43.0.9', { user: 'debian', identity: 'k', option: ['Port=22'], knownHosts: '/c/known' }, [
        'uptime',
        '-p',
      ]),
    ).toEqual(
      [
        ['-o', 'HostKeyAlias=croft-0190c0de-0000-7000-8000-000000000001', '-o', 'UserKnownHostsFile=/c/known'],
        ['-o', 'StrictHostKeyChecking=accept-new', '-o', 'Port=22', '-i', 'k', '-l', 'debian', '--', '10.43.0.9', 'uptime', '-p'],
      ].flat(),
    );
    expect(sshArguments(vm, 'fd00::1', { proxy: "'croft' 'x'", knownHosts: 'k' }, [])).toContain("ProxyCommand='croft' 'x'");
  });
});

describe('into a guest', () => {
  let api: Harness;
  beforeAll(async () => {
    api = await startApi();
    await api.store.create(virtualMachine, {
      metadata: { name: 'web', namespace: 'default' },
      spec: { template: { spec: { domain: { devices: {} } } } },
    });
    await api.store.create(virtualMachineInstance, {
      metadata: { name: 'web', namespace: 'default' },
      spec: { domain: { devices: {} } },
    });
    await editStatus(api.store, virtualMachine, { name: 'web', namespace: 'default' }, (draft) => {
      draft.status = { printableStatus: 'Running' };
    });
  });
  afterAll(() => api.stop());
  const says = (ipAddress: string) =>
    editStatus(api.store, virtualMachineInstance, { name: 'web', namespace: 'default' }, (draft) => {
      draft.status = { ...draft.status, interfaces: [{ name: 'nic0', ipAddress }] };
    });
  const ticket = (body: object) => api.call('POST', '/v1/vms/web/console-tickets', { body });

  it('refuses a guest that says the box’s own address is its own', async () => {
    const server = createServer((socket) => socket.end('secret')).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    try {
      await says('127.0.0.1');
      const env = { CROFT_HOST: api.base, CROFT_TOKEN: api.tokens.operator };
      const port = String((server.address() as AddressInfo).port);
      const { code, stdout } = await runCli(['vm', 'port-forward', 'web', port], { env, stdin: '' });
      expect({ code: code === 0, stdout }).toEqual({ code: false, stdout: '' });
    } finally {
      server.close();
    }
    const links = { eth0: [{ address: '192.0.2.7' }] } as unknown as NodeJS.Dict<import('node:os').NetworkInterfaceInfo[]>;
    for (const address of ['192.0.2.7', '::ffff:192.0.2.7', '127.9.9.9', '::1', '0.0.0.0', '169.254.169.254']) {
      expect(() => refuseOwn('web', address, links), address).toThrow(/the box's own/);
    }
    expect(() => refuseOwn('web', '192.0.2.8', links)).not.toThrow();
  });

  it('wants a port with tcp, and only with it', async () => {
    expect((await ticket({ kind: 'tcp' })).status).toBe(400);
    expect((await ticket({ kind: 'serial', port: 22 })).status).toBe(400);
    expect((await ticket({ kind: 'tcp', port: 70_000 })).status).toBe(400);
    expect((await ticket({ kind: 'tcp', port: 22 })).status).toBe(201);
    expect(
      (await api.call('POST', '/v1/vms/web/console-tickets', { body: { kind: 'tcp', port: 22 }, as: 'viewer' })).status,
    ).toBe(403);
  });
});
