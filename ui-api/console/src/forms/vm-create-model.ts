/** The create form's state and what becomes of it: a request, and the same as command, YAML and curl. Pure. */
import type { InstanceType, VmCreate } from '../../../client/types.ts';

/** The same wish, as one would write it elsewhere. */
export type SameAsTexts = { cli: string; yaml: string; curl: string };

export const customSize = 'custom';

export type VmForm = {
  name: string;
  image: string;
  /** Name of an instance type, or customSize. */
  size: string;
  network: string;
  cpus: string;
  memory: string;
  disk: string;
  sshKeys: string;
  userData: string;
  firmware: '' | 'bios' | 'efi';
  start: boolean;
};

export const emptyVmForm: VmForm = {
  name: '',
  image: '',
  size: 'small',
  network: 'default',
  cpus: '2',
  memory: '2Gi',
  disk: '',
  sshKeys: '',
  userData: '',
  firmware: '',
  start: true,
};

/** The smallest first. */
export const bySize = (sizes: readonly InstanceType[]): InstanceType[] =>
  sizes.toSorted((left, right) => left.memory - right.memory || left.cpus - right.cpus);

/** What the form begins with: the usual size where the box has it, or its smallest. `sizes` as bySize gives them. */
export const firstSize = (sizes: readonly InstanceType[]): string =>
  (sizes.find(({ name }) => name === emptyVmForm.size) ?? sizes[0])?.name ?? customSize;

/** `vm-1`, or the next that is free. */
export function freeName(taken: readonly string[], base = 'vm'): string {
  for (let number = 1; ; number++) {
    const name = `${base}-${number}`;
    if (!taken.includes(name)) return name;
  }
}

/** Mirrors Name of ui-api/schemas/common.ts. */
export const isName = (name: string): boolean => /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name) && name.length <= 63;

const keysOf = (sshKeys: string): string[] =>
  sshKeys
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));

/** The request; what is as usual is left out. */
export function requestOf(form: VmForm): VmCreate {
  const keys = keysOf(form.sshKeys);
  return {
    name: form.name,
    image: form.image,
    ...(form.size === customSize ? { cpus: Number(form.cpus), memory: form.memory } : { size: form.size }),
    ...(form.network === 'default' ? {} : { network: form.network }),
    ...(form.disk.trim() === '' ? {} : { disks: [{ name: 'root', size: form.disk.trim() }] }),
    ...(form.firmware === '' ? {} : { firmware: form.firmware }),
    ...(keys.length === 0 ? {} : { sshKeys: keys }),
    ...(form.userData.trim() === '' ? {} : { userData: form.userData }),
    ...(form.start ? {} : { start: false }),
  };
}

/** One word of a POSIX shell. */
export const shellQuote = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

function cliOf(request: VmCreate): string {
  const flags: [string, string | number | undefined][] = [
    ['--image', request.image],
    ['--size', request.size],
    ['--cpus', request.cpus],
    ['--memory', request.memory],
    ['--network', request.network],
    ...(request.disks ?? []).map(({ name, size }): [string, string] => ['--disk', `name=${name},size=${size}`]),
    ['--firmware', request.firmware],
    ...(request.sshKeys ?? []).map((key): [string, string] => ['--ssh-key', key]),
  ];
  const words = flags.flatMap(([flag, value]) => (value === undefined ? [] : [`${flag} ${shellQuote(String(value))}`]));
  const tail = [...(request.userData === undefined ? [] : ['--user-data -']), ...(request.start === false ? ['--no-start'] : [])];
  const command = ['croft vm create', shellQuote(request.name || 'NAME'), ...words, ...tail]
    .join(' \\\n  ')
    .replace('create \\\n  ', 'create ');
  return request.userData === undefined ? command : `${command} <<'END'\n${request.userData}\nEND`;
}

/** Only what this form makes: names, numbers, short lists and text blocks. */
function yamlOf(value: unknown, indent: string): string {
  if (Array.isArray(value)) {
    return value
      .map(
        (item) =>
          `\n${indent}- ${typeof item === 'object' ? yamlFields(item as object, `${indent}  `).trimStart() : scalar(item)}`,
      )
      .join('');
  }
  if (typeof value === 'string' && value.includes('\n')) return ` |\n${value.trimEnd().replace(/^/gm, indent)}`;
  return ` ${scalar(value)}`;
}
const scalar = (value: unknown): string =>
  typeof value === 'string' && (!/^[a-zA-Z][\w./-]*$/.test(value) || /^(true|false|yes|no|on|off|null|y|n)$/i.test(value))
    ? JSON.stringify(value)
    : String(value);
const yamlFields = (object: object, indent: string): string =>
  Object.entries(object)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${indent}${key}:${yamlOf(value, `${indent}  `)}`)
    .join('\n');

export function sameAs(form: VmForm, origin: string): SameAsTexts {
  const request = requestOf(form);
  const json = JSON.stringify(request, undefined, 2);
  return {
    cli: cliOf(request),
    yaml: `# croft apply -f vm.yaml\nkind: vm\n${yamlFields(request, '')}\n`,
    curl: `curl ${shellQuote(`${origin}/v1/vms`)} \\\n  -H "Authorization: Bearer $CROFT_TOKEN" \\\n  -H 'Content-Type: application/json' \\\n  -d ${`'${json.replaceAll("'", "'\\''")}'`}`,
  };
}
