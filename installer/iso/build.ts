/**
 * Builds the appliance's image: Debian 13 by mmdebstrap → squashfs → slot image → hybrid BIOS and UEFI ISO.
 *
 * Layers, each cached by what goes into it: `tools` (the programs that build, in a root of their own, so that a
 * Debian 12 host builds the same bytes), `base` (Debian's packages of a variant), `boot` (boot loaders) and
 * `image` (Croft on top, squashfs, slot, ISO). Only mmdebstrap comes from the host.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { version } from '../../appliance/version.ts';
import type { Release } from '../release.ts';
import { debianTar, unpack } from './debian.ts';
import { grubInputs, makeBootLoaders } from './grub.ts';
import { makeIso, makeSlot, makeSquashfs, makeTree } from './image.ts';
import { hashFiles, hashOf, layer } from './layers.ts';
import { aptSources } from './mirrors.ts';
import { enabledUnits, imagePackages, maskedUnits, toolPackages, type Variant } from './packages.ts';
import { makeRoot, rootSources } from './root.ts';

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
  /** Builds the image layer even if it is cached: to prove that it comes out the same. */
  again?: boolean;
};

export type BuiltImage = { directory: string; iso: string; slot: string; release: Release };

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
  const baseKey = hashOf(recipe, sources, imagePackages(variant));
  const base = await make(`base-${variant}`, baseKey, (directory) =>
    debianTar(join(directory, 'base.tar'), imagePackages(variant), sources, true),
  );
  const epoch = options.epoch ?? (await sourceEpoch(home));
  const bootKey = hashOf(recipe, toolKey, grubInputs);
  const boot = await make('boot', bootKey, (directory) => makeBootLoaders(directory, tools, epoch));

  const release: Release = { name: 'croft', version, variant, epoch, ...sizes[variant] };
  const compression = options.compression ?? (variant === 'full' ? 15 : 3);
  const code = await hashFiles(home, await rootSources(home, variant));
  const imageKey = hashOf(recipe, baseKey, bootKey, release, compression, code, maskedUnits, enabledUnits);
  if (options.again) await rm(join(cache, `image-${variant}-${imageKey}`), { recursive: true, force: true });
  const directory = await make(`image-${variant}`, imageKey, async (target) => {
    const inputs = { tools, release, compression };
    await makeRoot(target, { variant, home, base: join(base, 'base.tar'), loaders: join(boot, 'loaders') });
    await mkdir(join(target, 'live'));
    await makeSquashfs(target, inputs);
    await rm(join(target, 'root'), { recursive: true });
    await makeTree(target, inputs);
    await makeSlot(target, inputs);
    await makeIso(target, join(boot, 'medium'), inputs);
    await rm(join(target, 'tree'), { recursive: true });
  });
  return { directory, iso: join(directory, 'croft.iso'), slot: join(directory, 'slot.img'), release };
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
