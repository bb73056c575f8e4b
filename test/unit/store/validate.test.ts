import { describe, expect, it } from 'vitest';
import { CroftError } from '../../../appliance/errors.ts';
import { secret } from '../../../appliance/resources/core-kinds.ts';
import { network } from '../../../appliance/resources/croft-kinds.ts';
import { newId } from '../../../appliance/resources/identity.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { objectErrors, validateObject, validateStatus } from '../../../appliance/store/validate.ts';

const vm = (spec: object = {}, metadata: object = {}) => ({
  metadata: { name: 'web', namespace: 'default', ...metadata },
  spec: { template: { spec: { domain: { devices: {} } } }, ...spec },
});
const told = (object: object, kind: Parameters<typeof objectErrors>[0] = virtualMachine) =>
  objectErrors(kind, object).map(({ pointer, detail }) => `${pointer} ${detail}`);

describe('validate', () => {
  it('lets what is right pass', () => {
    expect(told(vm())).toEqual([]);
    expect(told({ ...vm(), apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', status: { anything: 1 } })).toEqual([]);
    expect(told(vm({}, { managedFields: [{}], name: 'web.example-1.org' }))).toEqual([]);
  });

  it('names path, value and what would be right', () => {
    expect(told(vm({ runStrategy: 'Sometimes' }))).toEqual([
      '/spec/runStrategy "Sometimes" must be one of Always, RerunOnFailure, Once, Manual, Halted',
    ]);
    const domain = { devices: { disks: [{ name: 'd', cache: 'fast' }] }, cpu: { cores: 0 }, memory: { guest: true } };
    expect(told(vm({ template: { spec: { domain } } }))).toEqual([
      '/spec/template/spec/domain/cpu/cores 0 must be >= 1',
      '/spec/template/spec/domain/memory/guest true must be an integer or must be a string',
      '/spec/template/spec/domain/devices/disks/0/cache "fast" must be one of none, writeback, writethrough',
    ]);
  });

  it('names unknown and missing fields, and those known there', () => {
    const [unknown] = told(vm({ runStrateg: 'Always' }));
    expect(unknown).toBe(
      '/spec/runStrateg is not a known field (known here: runStrategy, running, template, dataVolumeTemplates, instancetype, preference)',
    );
    expect(told({ ...vm(), spec: {} })).toEqual(['/spec/template is missing and required']);
    expect(told({ metadata: { name: 'a', namespace: 'b' } })).toEqual(['/spec is missing and required']);
    expect(told({ ...vm(), extra: 1 })[0]).toContain('/extra is not a known field');
    expect(told(vm({}, { label: {} }))[0]).toContain('/metadata/label is not a known field (known here: name, namespace');
    expect(told({ ...vm(), kind: 'Pod' })).toEqual(['/kind "Pod" must be "VirtualMachine"']);
    expect(told({ spec: vm().spec })).toContain('/metadata/name is missing and required');
  });

  it.each([
    [{ name: 'Web' }, '/metadata/name'],
    [{ name: '-web' }, '/metadata/name'],
    [{ name: 'a'.repeat(254) }, '/metadata/name'],
    [{ name: 7 }, '/metadata/name'],
    [{ name: newId() }, 'looks like an id'],
    [{ namespace: 'a.b' }, '/metadata/namespace'],
    [{ namespace: undefined }, 'belongs to a project'],
    [{ labels: { 'a b': 'c' } }, '/metadata/labels/a b'],
    [{ labels: { 'x/y': 7 } }, '/metadata/labels/x~1y 7 must be a string'],
    [{ annotations: { big: 'x'.repeat(300_000) } }, 'at most 262144 fit'],
    [{ finalizers: ['no good'] }, '/metadata/finalizers/0'],
    [
      { ownerReferences: [{ apiVersion: 'v1', kind: 'A', name: 'a', uid: '' }] },
      '/metadata/ownerReferences/0/uid must not be empty',
    ],
  ])('refuses metadata %j', (metadata, expected) => {
    const errors = told(vm({}, metadata));
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain(expected);
  });

  it('gives one sentence with at most three of the errors, and all in `errors`', () => {
    const broken = { metadata: { name: 'net', namespace: 'x' }, spec: { vlan: 9999, mtu: 1, dhcp: 'yes', a: 1 } };
    try {
      validateObject(network, broken);
      expect.fail('passed');
    } catch (error) {
      expect(error).toBeInstanceOf(CroftError);
      expect((error as CroftError).errors).toHaveLength(5);
      expect((error as CroftError).message).toMatch(/^Network net: metadata\.namespace: .*; and 2 more\.$/);
    }
  });

  it('never tells what a Secret holds', () => {
    const errors = told({ metadata: { name: 's', namespace: 'd' }, spec: { data: { password: 12345 } } }, secret);
    expect(errors).toEqual(['/spec/data/password must be a string']);
  });

  it('checks status only where asked', () => {
    expect(() => validateStatus(virtualMachine, { metadata: { name: 'web' }, status: { ready: 'yes' } })).toThrow(
      'status.ready: "yes" must be a boolean',
    );
    validateStatus(virtualMachine, {});
  });
});

describe('fields of KubeVirt that Croft does not support', () => {
  const vm = (spec: Record<string, unknown>, more: Record<string, unknown> = {}) => ({
    metadata: { name: 'a', namespace: 'default' },
    spec: { template: { spec: { domain: { devices: {} }, ...spec } }, ...more },
  });
  const codeOf = (object: unknown): { code?: string; message: string } => {
    try {
      validateObject(virtualMachine, object);
    } catch (error) {
      return error as { code: string; message: string };
    }
    return { message: '' };
  };

  it.each([
    [vm({ affinity: {} }), 'spec.template.spec.affinity'],
    [vm({ domain: { devices: { gpus: [{ name: 'g' }] } } }), 'spec.template.spec.domain.devices.gpus'],
    [vm({ domain: { devices: { disks: [{ name: 'a', lun: {} }] } } }), 'spec.template.spec.domain.devices.disks[0].lun'],
    [
      vm({ domain: { devices: { interfaces: [{ name: 'a', model: 'rtl8139' }] } } }),
      'spec.template.spec.domain.devices.interfaces[0].model: "rtl8139"',
    ],
    [vm({}, { updateVolumesStrategy: 'Migration' }), 'spec.updateVolumesStrategy'],
  ])('are told apart, by their path', (object, path) => {
    const { code, message } = codeOf(object);
    expect(code).toBe('unsupported-field');
    expect(message).toContain(path);
  });

  it('from typing errors, which stay invalid input', () => {
    expect(codeOf(vm({ afinity: {} })).code).toBe('invalid-input');
    expect(codeOf(vm({ affinity: {}, afinity: {} })).code).toBe('invalid-input');
  });
});
