/** The verbs on VMs that virtctl calls, without an API server; through one they are tested in test/cluster. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CroftError } from '../../../appliance/errors.ts';
import type { BoxPort } from '../../../appliance/ports.ts';
import { virtualMachine, type RunStrategy } from '../../../appliance/resources/virtual-machine.ts';
import { editStatus } from '../../../appliance/store/edit.ts';
import { openSqliteStore } from '../../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { clusterRoles } from '../../../appliance/store/kubernetes-roles.ts';
import { statusOf } from '../../../ui-api/server/kube/status.ts';
import {
  answerSubresource,
  openSubresource,
  parsePath,
  subresourceResources,
  type SubresourceContext,
} from '../../../ui-api/server/kube/subresources.ts';
import { refusal } from '../../contract/store-tools.ts';

const base = '/apis/subresources.kubevirt.io/v1';
const vmPath = (verb: string) => `${base}/namespaces/default/virtualmachines/web/${verb}`;
const instancePath = (verb: string) => `${base}/namespaces/default/virtualmachineinstances/web/${verb}`;

let directory: string;
let store: ResourceStore;
let acted: string[];
let context: SubresourceContext;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'croft-kube-'));
  store = openSqliteStore({ path: join(directory, 'store.db') });
  acted = [];
  const port = { act: async (_vm: unknown, action: string) => void acted.push(action) } as unknown as BoxPort;
  context = { store, port, version: '9.9' };
  const spec = { runStrategy: 'Halted' as RunStrategy, template: { spec: { domain: { devices: {} } } } };
  await store.create(virtualMachine, { metadata: { name: 'web', namespace: 'default' }, spec });
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

const is = (printableStatus: 'Running' | 'Stopped') =>
  editStatus(store, virtualMachine, { name: 'web', namespace: 'default' }, (vm) => {
    vm.status = { printableStatus };
  });
const strategy = async () => (await store.get(virtualMachine, 'web', 'default'))?.spec.runStrategy;

describe('verbs', () => {
  it('start and stop change the wish; a dry run only checks', async () => {
    await is('Stopped');
    await answerSubresource(context, 'PUT', vmPath('start'), { dryRun: ['All'] });
    expect(await strategy()).toBe('Halted');
    expect(await answerSubresource(context, 'PUT', vmPath('start'), undefined)).toEqual({ accepted: true });
    expect(await strategy()).toBe('Always');
    await is('Running');
    await refusal('invalid-state', answerSubresource(context, 'PUT', vmPath('start'), {}));
    await answerSubresource(context, 'PUT', vmPath('stop'), { gracePeriod: 0 });
    expect(await strategy()).toBe('Halted');
  });

  it('pause goes to the guest, when it runs', async () => {
    await is('Stopped');
    await refusal('invalid-state', answerSubresource(context, 'PUT', instancePath('pause'), {}));
    await is('Running');
    await answerSubresource(context, 'PUT', instancePath('pause'), {});
    expect(acted).toEqual(['pause']);
  });

  it('refuses what it does not do, naming it', async () => {
    expect((await refusal('not-found', answerSubresource(context, 'PUT', vmPath('memorydump'), {}))).message).toContain(
      'memorydump',
    );
    expect(
      (await refusal('unsupported-field', answerSubresource(context, 'PUT', vmPath('start'), { paused: true }))).message,
    ).toContain('paused');
    await refusal('not-found', answerSubresource(context, 'PUT', vmPath('start').replace('web', 'none'), {}));
    await refusal('not-found', openSubresource(context, instancePath('usbredir')));
  });
});

describe('discovery', () => {
  it('tells group, versions, resources and a version for virtctl', async () => {
    expect(await answerSubresource(context, 'GET', '/apis/subresources.kubevirt.io', undefined)).toMatchObject({
      json: { kind: 'APIGroup', preferredVersion: { version: 'v1' } },
    });
    expect(await answerSubresource(context, 'GET', `${base}/version`, undefined)).toMatchObject({
      json: { gitVersion: 'v1.7.0+croft.9.9' },
    });
    const { json } = (await answerSubresource(context, 'GET', base, undefined)) as { json: { resources: { name: string }[] } };
    expect(json.resources.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['virtualmachines/start', 'virtualmachineinstances/console']),
    );
  });

  it('reads paths of both versions', () => {
    expect(parsePath(instancePath('vnc/screenshot').replace('v1', 'v1alpha3'))).toEqual({
      kind: 'virtualmachineinstances',
      target: { name: 'web', namespace: 'default' },
      verb: 'vnc/screenshot',
    });
    expect(parsePath('/apis/other/v1/namespaces/a/virtualmachines/b/start')).toBeUndefined();
  });
});

it('errors become Status objects, and strange ones tell nothing', () => {
  expect(statusOf(new CroftError('invalid-state', 'VM web is running.'))).toMatchObject({
    code: 409,
    reason: 'Conflict',
    message: 'VM web is running.',
  });
  expect(statusOf(new Error('password is hunter2')).message).not.toContain('hunter2');
});

it('every subresource is given to somebody by the roles of a cluster', () => {
  const [, edit] = clusterRoles();
  const given = edit?.rules.filter(({ apiGroups }) => apiGroups.includes('subresources.kubevirt.io')) ?? [];
  for (const { name, verbs } of subresourceResources) {
    expect(
      given.some(({ resources, verbs: allowed }) => resources.includes(name) && verbs.every((verb) => allowed.includes(verb))),
      name,
    ).toBe(true);
  }
});
