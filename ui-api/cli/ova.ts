/** An OVA file or a directory with an OVF: its descriptor, its manifest, its disks' bytes. Nothing is unpacked. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, readFile, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { readTar, type TarEntry } from '../../appliance/host/tar-read.ts';
import { maxDescriptor, parseManifest, type Manifest } from '../../appliance/ovf/manifest.ts';
import { usageError } from './exit.ts';

export type PackagedFile = { size: number; read(offset: number, length: number): AsyncIterable<Uint8Array> };

export type OvfPackage = {
  descriptor: string;
  /** Digests its manifest gives, by file. */
  manifest: Manifest;
  /** @throws CliError usage when it is not in the package */
  file(name: string): Promise<PackagedFile>;
  close(): Promise<void>;
};

/** @throws CliError usage, CroftError `invalid-input` for a broken tar */
export async function openPackage(path: string): Promise<OvfPackage> {
  const stats = await stat(path).catch((error: Error) => {
    throw usageError(`${path} cannot be read: ${error.message}`);
  });
  return stats.isDirectory() ? openDirectory(path) : openOva(path, stats.size);
}

async function openDirectory(path: string): Promise<OvfPackage> {
  const names = await readdir(path);
  const descriptor = only(
    names.filter((name) => /\.ovf$/i.test(name)),
    path,
  );
  const manifest = names.find((name) => /\.mf$/i.test(name));
  if ((await stat(join(path, descriptor))).size > maxDescriptor) throw usageError(`${descriptor} is too large for a descriptor.`);
  return {
    descriptor: await readFile(join(path, descriptor), 'utf8'),
    manifest: parseManifest(manifest === undefined ? '' : await readFile(join(path, manifest), 'utf8')),
    file: async (name) => {
      const file = join(path, name);
      const found = names.includes(name) ? await stat(file) : undefined;
      if (!found?.isFile()) throw usageError(`${name} is named by the descriptor but not in ${path}.`);
      return { size: found.size, read: (offset, length) => createReadStream(file, { start: offset, end: offset + length - 1 }) };
    },
    close: async () => undefined,
  };
}

async function openOva(path: string, size: number): Promise<OvfPackage> {
  const handle = await open(path, 'r');
  try {
    const entries = await readTar((offset, length) => readAt(handle, offset, length), size);
    const byName = new Map(entries.map((entry) => [entry.name, entry]));
    const descriptor = byName.get(
      only(
        [...byName.keys()].filter((name) => /\.ovf$/i.test(name)),
        path,
      ),
    ) as TarEntry;
    if (descriptor.size > maxDescriptor) throw usageError(`${descriptor.name} is too large for a descriptor.`);
    const manifest = entries.find(({ name }) => /\.mf$/i.test(name));
    const textOf = async (entry: TarEntry): Promise<string> => (await readAt(handle, entry.offset, entry.size)).toString('utf8');
    return {
      descriptor: await textOf(descriptor),
      manifest: parseManifest(manifest && manifest.size <= maxDescriptor ? await textOf(manifest) : ''),
      file: async (name) => {
        const entry = byName.get(name);
        if (!entry) throw usageError(`${name} is named by the descriptor but not in ${path}.`);
        const { offset: start } = entry;
        const read = (offset: number, length: number) =>
          createReadStream(path, { start: start + offset, end: start + offset + length - 1 });
        return { size: entry.size, read };
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function readAt(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await handle.read(bytes, 0, length, offset);
  return bytes.subarray(0, bytesRead);
}

function only(names: string[], path: string): string {
  const [name, ...more] = names;
  if (name === undefined || more.length > 0) {
    throw usageError(
      `${path} has ${names.length} OVF descriptors; a package has one.`,
      'Give an .ova file, or a directory with one .ovf.',
    );
  }
  return name;
}

/** SHA-256 of a file, having held it to the manifest. @throws CliError usage on a mismatch */
export async function checkedDigest(
  name: string,
  file: PackagedFile,
  stated: { algorithm: string; digest: string } | undefined,
  progress: (fraction: number) => void,
): Promise<string> {
  const hashes: Hash[] = [createHash('sha256'), ...(stated ? [createHash(stated.algorithm)] : [])];
  let done = 0;
  if (file.size > 0) {
    for await (const chunk of file.read(0, file.size)) {
      for (const hash of hashes) hash.update(chunk);
      done += chunk.length;
      progress(done / file.size);
    }
  }
  const [sha256 = '', found] = hashes.map((hash) => hash.digest('hex'));
  if (stated && found !== stated.digest) {
    throw usageError(
      `${name} is damaged: its ${stated.algorithm} is ${found}, the manifest says ${stated.digest}.`,
      'Fetch or export it again.',
    );
  }
  return `sha256:${sha256}`;
}
