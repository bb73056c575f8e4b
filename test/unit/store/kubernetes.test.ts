/** The pure parts of the Kubernetes store: CRDs, the wire's shapes, refusals. The whole is proved in test/cluster. */
import { describe, expect, it } from 'vitest';
import { Type } from 'typebox';
import { secret } from '../../../appliance/resources/core-kinds.ts';
import { persistentVolumeClaim } from '../../../appliance/resources/data-volume.ts';
import { kinds } from '../../../appliance/resources/registry.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { unsupportedFields } from '../../../appliance/resources/support.ts';
import { admissionPolicies, validationsOf } from '../../../appliance/store/admission-policies.ts';
import { crdOf, customKinds, structural } from '../../../appliance/store/crds.ts';
import { errorOfStatus } from '../../../appliance/store/kubernetes-errors.ts';
import { fromWire, pathOfKind, toWire, type WireObject } from '../../../appliance/store/kubernetes-objects.ts';

/** Every schema in a tree. */
function* nodes(schema: unknown): Generator<Record<string, unknown>> {
  if (typeof schema !== 'object' || schema === null) return;
  const here = schema as Record<string, unknown>;
  yield here;
  for (const child of Object.values((here.properties ?? {}) as object)) yield* nodes(child);
  yield* nodes(here.items);
  yield* nodes(here.additionalProperties);
}

describe('CRDs', () => {
  it('are made for every kind of ours, and for no other', () => {
    expect(customKinds().map(({ kind }) => kind)).toEqual(kinds.filter(({ home }) => home === 'ours').map(({ kind }) => kind));
  });

  it.each(customKinds())('$kind is structural: each field has one type', (kind) => {
    const { spec } = crdOf(kind) as { spec: { versions: { schema: { openAPIV3Schema: unknown } }[] } };
    for (const node of nodes(spec.versions[0]?.schema.openAPIV3Schema)) {
      expect(
        node.type !== undefined ||
          node['x-kubernetes-int-or-string'] === true ||
          node['x-kubernetes-preserve-unknown-fields'] === true,
      ).toBe(true);
      expect(Object.keys(node)).not.toEqual(expect.arrayContaining(['anyOf']));
      // Both together are refused by the API server.
      expect(node.properties !== undefined && node.additionalProperties !== undefined).toBe(false);
    }
  });

  it('says unions that Kubernetes knows, and refuses the others loudly', () => {
    expect(structural(Type.Union([Type.Integer(), Type.String()]))).toEqual({ 'x-kubernetes-int-or-string': true });
    expect(structural(Type.Union([Type.Literal('a'), Type.Literal('b')]))).toEqual({ type: 'string', enum: ['a', 'b'] });
    expect(() => structural(Type.Union([Type.Boolean(), Type.String()]))).toThrow(/structural/);
  });
});

describe('admission policies', () => {
  const expressions = (kind: typeof virtualMachine) => validationsOf(kind).map(({ expression }) => expression);

  it('name each refused field of the support table once, in CEL that takes any part of the way as missing', () => {
    expect(expressions(virtualMachine)).toContain(
      "!['inferFromVolume', 'inferFromVolumeFailurePolicy', 'revisionName'].exists(f, f in object.?spec.?instancetype.orValue({}))",
    );
    const disks = expressions(virtualMachine).find((text) => text.includes("'dedicatedIOThread'"));
    expect(disks).toContain('f in e0)');
    expect(disks).toContain('object.?spec.?template.?spec.?domain.?devices.?disks.orValue([]).exists(e0,');
    for (const kind of customKinds()) {
      const named = validationsOf(kind).flatMap(({ expression }) => [...expression.matchAll(/'(\w+)'/g)].map(([, name]) => name));
      const fields = unsupportedFields(kind);
      const topmost = fields.filter((path) => !fields.some((other) => path.startsWith(`${other}.`)));
      expect(named.toSorted()).toEqual(topmost.map((path) => path.split('.').at(-1)).toSorted());
    }
  });

  it('look at no delete, no status, no object that is going, and at no write that leaves the spec', () => {
    for (const { collection, body } of admissionPolicies()) {
      if (collection !== 'validatingadmissionpolicies') continue;
      const { matchConstraints, matchConditions } = body.spec as {
        matchConstraints: { resourceRules: { operations: string[]; resources: string[] }[] };
        matchConditions: { expression: string }[];
      };
      for (const { operations, resources } of matchConstraints.resourceRules) {
        expect(operations).toEqual(['CREATE', 'UPDATE']);
        expect(resources.join()).not.toContain('/');
      }
      expect(matchConditions.map(({ expression }) => expression)).toEqual([
        "request.operation == 'CREATE' || object.spec != oldObject.spec",
        '!has(object.metadata.deletionTimestamp)',
      ]);
    }
  });

  it('see what the CRDs let through to them, and only that', () => {
    const [version] = crdOf(virtualMachine).spec.versions as unknown as { schema: { openAPIV3Schema: unknown } }[];
    const open = [...nodes(version?.schema.openAPIV3Schema)].filter(
      (node) => node['x-kubernetes-preserve-unknown-fields'] === true && node.type === undefined,
    );
    expect(open.length).toBeGreaterThan(60);
    expect(open.length).toBeLessThanOrEqual(unsupportedFields(virtualMachine).length);
  });
});

describe('the wire', () => {
  it('has paths of both API roots', () => {
    expect(pathOfKind(virtualMachine, 'a', 'web', 'status')).toBe('/apis/kubevirt.io/v1/namespaces/a/virtualmachines/web/status');
    expect(pathOfKind(secret, 'a')).toBe('/api/v1/namespaces/a/secrets');
  });

  it('keeps a Secret’s data at the top level', () => {
    const wire = toWire(secret, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 's', namespace: 'a' },
      spec: { type: 'Opaque', data: { k: 'dg==' } },
    });
    expect(wire).toMatchObject({ type: 'Opaque', data: { k: 'dg==' } });
    expect(wire).not.toHaveProperty('spec');
    expect(fromWire(secret, wire).spec).toEqual({ type: 'Opaque', data: { k: 'dg==' } });
  });

  it('carries a claim’s source where kinds of ours are kept, and gives back what it read', () => {
    const claim = {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'd', namespace: 'a' },
      spec: { storageClassName: 'croft-local', dataSource: { kind: 'Image', name: 'tiny' } },
    };
    const wire = toWire(persistentVolumeClaim, claim);
    expect(wire.spec).toEqual({
      storageClassName: 'croft-local',
      dataSourceRef: { apiGroup: 'croft.io', kind: 'Image', name: 'tiny' },
    });
    expect(fromWire(persistentVolumeClaim, wire).spec).toMatchObject({ dataSource: { kind: 'Image', name: 'tiny' } });
  });

  it('keeps fields of a claim that Croft does not know', () => {
    const stored = { metadata: { name: 'd' }, spec: { storageClassName: 'x', volumeAttributesClassName: 'gold' } } as WireObject;
    const read = fromWire(persistentVolumeClaim, stored);
    expect(read.spec).not.toHaveProperty('volumeAttributesClassName');
    expect(toWire(persistentVolumeClaim, read, stored).spec).toMatchObject({ volumeAttributesClassName: 'gold' });
  });

  it('hands out no metadata that is only Kubernetes’', () => {
    const wire = { metadata: { name: 'a', managedFields: [{}], selfLink: '/x' }, spec: {} } as unknown as WireObject;
    expect(fromWire(virtualMachine, wire).metadata).toEqual({ name: 'a' });
  });
});

describe('refusals', () => {
  it.each([
    [409, 'AlreadyExists', 'already-exists'],
    [409, 'Conflict', 'conflict'],
    [404, 'NotFound', 'not-found'],
    [410, 'Expired', 'expired'],
    [403, 'Forbidden', 'forbidden'],
    [429, 'TooManyRequests', 'too-many-requests'],
    [500, 'InternalError', 'unavailable'],
    [504, undefined, 'unavailable'],
  ])('%i %s is %s', (code, reason, expected) => {
    expect(errorOfStatus(code, { ...(reason ? { reason } : {}), message: 'so' }, 'X').code).toBe(expected);
  });

  it('name the fields that are wrong', () => {
    const causes = [{ field: 'spec.template.spec.domain.devices.disks[0].name', message: 'Required value' }];
    const error = errorOfStatus(422, { reason: 'Invalid', message: 'long', details: { causes } }, 'VirtualMachine a/web');
    expect(error.message).toBe('VirtualMachine a/web: spec.template.spec.domain.devices.disks[0].name: Required value.');
    expect(error.errors[0]?.pointer).toBe('/spec/template/spec/domain/devices/disks/0/name');
  });
});
