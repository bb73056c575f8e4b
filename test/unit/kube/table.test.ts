/** What kubectl is shown: columns, ages, and which shape of an answer its Accept header asks for. */
import { describe, expect, it } from 'vitest';
import { virtualMachineInstance } from '../../../appliance/resources/virtual-machine.ts';
import { ageOf, rowOf, shapeOf, valueAt } from '../../../ui-api/server/kube/table.ts';

describe('rows', () => {
  it('have the values that the columns’ paths lead to', () => {
    const conditions = [
      { type: 'Paused', status: 'False' },
      { type: 'Ready', status: 'True' },
    ];
    const status = { phase: 'Running', nodeName: 'n1', interfaces: [{ name: 'a', ipAddress: '10.0.0.5' }], conditions };
    const object = { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstance', metadata: { name: 'web' }, spec: {}, status };
    expect(rowOf(virtualMachineInstance, object).cells).toEqual(['web', 'Running', '10.0.0.5', 'n1', 'True', '<unknown>']);
    expect(rowOf(virtualMachineInstance, { ...object, status: {} }).cells).toEqual(['web', null, null, null, null, '<unknown>']);
    expect(valueAt({ a: 'x' }, '.a.b[0].c')).toBeUndefined();
  });

  it.each([
    [5, '5s'],
    [119, '119s'],
    [125, '2m'],
    [3 * 3600, '3h'],
    [50 * 3600, '2d'],
    [-5, '0s'],
  ])('%i s ago is %s', (seconds, text) => {
    const now = Date.parse('2026-01-01T00:00:00Z');
    expect(ageOf(new Date(now - seconds * 1000).toISOString(), now)).toBe(text);
  });
});

describe('shapes', () => {
  it.each([
    [undefined, 'object'],
    ['*/*', 'object'],
    ['application/json;as=Table;v=v1;g=meta.k8s.io,application/json', 'table'],
    ['application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json', 'object'],
    ['application/json,application/json;as=Table;v=v1;g=meta.k8s.io', 'object'],
    ['application/vnd.kubernetes.protobuf,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1', 'metadata'],
  ])('%s is the %s', (accept, as) => {
    expect(shapeOf(accept, undefined)).toEqual({ as, rowObject: 'Metadata' });
  });
});
