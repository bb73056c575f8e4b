/** The import form's state and what becomes of it. Pure. */
import type { Manifest } from '../../../../appliance/ovf/manifest.ts';
import type { VmImport } from '../../../client/types.ts';
import { shellQuote } from './vm-create-model.ts';

export type Report = VmImport['report'];
export type ImportForm = {
  /** Empty: the package's. */
  name: string;
  /** Its networks → ours, as far as somebody chose. */
  networks: Readonly<Record<string, string>>;
  devices: 'compatible' | 'virtio';
  keepMac: boolean;
  start: boolean;
};

export const emptyImport: ImportForm = { name: '', networks: {}, devices: 'compatible', keepMac: false, start: false };

/** As appliance/ovf/plan.ts makes names. */
const plain = (name: string): string =>
  name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');

/** Where each network of the package leads: what was chosen, else one of the same name, else the first. */
export function mapping(report: Report | undefined, form: ImportForm, known: readonly string[]): Record<string, string> {
  const foreign = [...new Set((report?.nics ?? []).map(({ from }) => from))];
  const fallback = known.includes('default') ? 'default' : (known[0] ?? 'default');
  const ours = (name: string): string =>
    form.networks[name] ?? known.find((each) => each === name || each === plain(name)) ?? fallback;
  return { '*': fallback, ...Object.fromEntries(foreign.map((name) => [name, ours(name)])) };
}

/** Sums the box can check by itself, of the files that are sent. */
export const checksumsOf = (manifest: Manifest): Record<string, string> =>
  Object.fromEntries(
    [...manifest]
      .filter(([, { algorithm }]) => algorithm !== 'sha1')
      .map(([file, { algorithm, digest }]) => [file, `${algorithm}:${digest}`]),
  );

export type Wish = {
  ovf: string;
  name?: string;
  networks: Record<string, string>;
  devices: ImportForm['devices'];
  keepMac: boolean;
  start: boolean;
  checksums: Record<string, string>;
};

export const wishOf = (
  { descriptor, manifest }: { descriptor: string; manifest: Manifest },
  { name, devices, keepMac, start }: ImportForm,
  networks: Record<string, string>,
): Wish => ({
  ovf: descriptor,
  ...(name === '' ? {} : { name }),
  networks,
  devices,
  keepMac,
  start,
  checksums: checksumsOf(manifest),
});

/** The same on the command line. */
export function importCommand(title: string, form: ImportForm, networks: Record<string, string>): string {
  const { '*': _all, ...named } = networks;
  const flags = [
    ...(form.name === '' ? [] : [`--name ${shellQuote(form.name)}`]),
    ...Object.entries(named).map(([from, to]) => `--network ${shellQuote(`${from}=${to}`)}`),
    ...(form.devices === 'virtio' ? ['--devices virtio'] : []),
    ...(form.keepMac ? ['--keep-mac'] : []),
    ...(form.start ? ['--start'] : []),
  ];
  return ['croft vm import', shellQuote(title || 'machine.ova'), ...flags].join(' \\\n  ').replace('import \\\n  ', 'import ');
}
