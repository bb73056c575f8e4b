/**
 * ValidatingAdmissionPolicies (admissionregistration.k8s.io/v1) from the one support table: in a cluster a field that
 * KubeVirt has and Croft doesn't support is refused by name for every client, as the box's own store refuses it. CEL
 * in kube-apiserver, so no webhook can be away.
 *
 * The CRDs let these fields through to the policy (crds.ts): what a schema doesn't know is pruned before. A write that
 * leaves the spec as it is, to a status or of an object that is being deleted is never looked at. Pure.
 */
import type { Kind } from '../resources/kind.ts';
import { unsupportedFields } from '../resources/support.ts';
import { customKinds } from './crds.ts';
import type { Manifest } from './kubernetes-client.ts';

/** The topmost refused fields, by the path of what they stand in. */
function byParent(kind: Kind): Map<string, string[]> {
  const all = unsupportedFields(kind);
  const topmost = all.filter((path) => !all.some((other) => path.startsWith(`${other}.`) || path.startsWith(`${other}[]`)));
  const parents = new Map<string, string[]>();
  for (const path of topmost) {
    const cut = path.lastIndexOf('.');
    const parent = path.slice(0, cut);
    parents.set(parent, [...(parents.get(parent) ?? []), path.slice(cut + 1)]);
  }
  return parents;
}

/** CEL: whether the field that `f` names is in what the path leads to, in any element of the lists on the way. */
function found(segments: readonly string[], from: string, depth = 0): string {
  const [segment, ...rest] = segments;
  if (segment === undefined) return `f in ${depth > 0 && !from.includes('.') ? from : `${from}.orValue({})`}`;
  const next = `${from}.?${segment.replace('[]', '')}`;
  if (!segment.endsWith('[]')) return found(rest, next, depth);
  const element = `e${depth}`;
  return `${next}.orValue([]).exists(${element}, ${found(rest, element, depth + 1)})`;
}

const quoted = (text: string): string => `'${text}'`;

export function validationsOf(kind: Kind): { expression: string; messageExpression: string; message: string; reason: string }[] {
  return [...byParent(kind)].map(([parent, names]) => {
    const list = `[${names.map(quoted).join(', ')}]`;
    const isThere = found(parent.split('.'), 'object');
    return {
      expression: `!${list}.exists(f, ${isThere})`,
      messageExpression: `${quoted(`${parent}.`)} + ${list}.filter(f, ${isThere})[0] + ' is a field of KubeVirt that Croft does not support'`,
      // Where the expression itself fails.
      message: `${parent} has a field of KubeVirt that Croft does not support`,
      reason: 'Invalid',
    };
  });
}

/** Policies with their bindings. */
export function admissionPolicies(): {
  collection: 'validatingadmissionpolicies' | 'validatingadmissionpolicybindings';
  body: Manifest;
}[] {
  const apiVersion = 'admissionregistration.k8s.io/v1';
  const labels = { 'app.kubernetes.io/managed-by': 'croft' };
  return customKinds().flatMap((kind) => {
    const validations = validationsOf(kind);
    if (validations.length === 0) return [];
    const [group = '', version = ''] = kind.apiVersion.split('/');
    const name = `croft.${kind.plural}.${group}`;
    const rule = { apiGroups: [group], apiVersions: [version], operations: ['CREATE', 'UPDATE'], resources: [kind.plural] };
    const policy: Manifest = {
      apiVersion,
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name, labels },
      spec: {
        failurePolicy: 'Fail',
        matchConstraints: { resourceRules: [rule] },
        matchConditions: [
          { name: 'spec-changes', expression: "request.operation == 'CREATE' || object.spec != oldObject.spec" },
          { name: 'not-being-deleted', expression: '!has(object.metadata.deletionTimestamp)' },
        ],
        validations,
      },
    };
    const binding: Manifest = {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name, labels },
      spec: { policyName: name, validationActions: ['Deny'] },
    };
    return [
      { collection: 'validatingadmissionpolicies' as const, body: policy },
      { collection: 'validatingadmissionpolicybindings' as const, body: binding },
    ];
  });
}
