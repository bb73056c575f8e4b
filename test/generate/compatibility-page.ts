/** docs/compatibility.md, made from the kinds and the support table. `node test/generate/compatibility-page.ts` writes it, `--check` compares. */
import { join } from 'node:path';
import type { Kind } from '../../appliance/resources/kind.ts';
import { kinds } from '../../appliance/resources/registry.ts';
import { unsupportedFields, unsupportedValues } from '../../appliance/resources/support.ts';
import { settle } from './settle.ts';

const upstream = (kinds as readonly Kind[]).filter(({ apiVersion }) => /kubevirt\.io\//.test(apiVersion));

/** Fields under one parent on one line. */
function grouped(paths: readonly string[]): string[] {
  const groups = new Map<string, string[]>();
  for (const path of paths) {
    const cut = path.lastIndexOf('.');
    const parent = path.slice(0, cut);
    groups.set(parent, [...(groups.get(parent) ?? []), path.slice(cut + 1)]);
  }
  return [...groups].map(([parent, names]) => `- \`${parent}\`: ${names.map((name) => `\`${name}\``).join(', ')}`);
}

function section(kind: Kind): string[] {
  const fields = unsupportedFields(kind);
  const values = Object.entries(unsupportedValues(kind));
  const lines = [
    ...grouped(fields),
    ...values.map(([path, refused]) => `- \`${path}\`, the values ${refused.map((value) => `\`${value}\``).join(', ')}`),
  ];
  return [
    `## ${kind.kind}`,
    '',
    `\`${kind.apiVersion}\``,
    '',
    ...(lines.length > 0 ? ['Not supported:', '', ...lines] : ['All fields.']),
    '',
  ];
}

export const compatibilityPage = (): string =>
  [
    '# Compatibility with KubeVirt',
    '',
    "Croft keeps KubeVirt's and CDI's own kinds, with their names and meanings (checked against KubeVirt 1.7). What it does not",
    'support it refuses with the code `unsupported-field` and the path of the field: nothing is silently dropped. A field that',
    'neither knows is `invalid-input`.',
    '',
    '*Made from `appliance/resources/support.ts` by `test/generate/compatibility-page.ts`.*',
    '',
    ...upstream.flatMap(section),
  ].join('\n');

if (import.meta.main) await settle(join(import.meta.dirname, '../../docs/compatibility.md'), compatibilityPage());
