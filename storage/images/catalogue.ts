/** From a name of the catalogue to an address and the digest its publisher gives it at this moment. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../../appliance/errors.ts';
import { addressesOf, catalogueImageNamed, imageCatalogue } from '../../appliance/resources/image-catalogue.ts';
import { checksumOf } from './checksums.ts';
import { fetchFile } from './fetch.ts';

/** Bytes of a checksum file; real ones have a few KiB. */
const maxChecksums = 2 ** 20;

export type CatalogueOptions = {
  name: string;
  /** Scratch directory. */
  workDir: string;
  signal?: AbortSignal;
  allowOwnAddresses?: boolean;
  /** Tests: stands in for all publishers; `https://host/path` is asked there as `/host/path`. */
  mirror?: string | undefined;
};

/** @throws CroftError `invalid-input` for an unknown name, and as fetchFile and checksumOf do */
export async function resolveCatalogue(options: CatalogueOptions): Promise<{ url: string; checksum: string }> {
  const entry = catalogueImageNamed(options.name);
  if (!entry) {
    const known = imageCatalogue.map(({ name }) => name).join(', ');
    throw new CroftError('invalid-input', `source.catalogue: ${JSON.stringify(options.name)} is not known; there are ${known}.`);
  }
  const addresses = addressesOf(entry);
  const place = (url: string): string => (options.mirror ? `${options.mirror}/${url.replace(/^https:\/\//, '')}` : url);
  const file = join(options.workDir, 'checksums');
  // Never resumed: half of an older file would be the wrong word.
  for (const left of [file, `${file}.part`, `${file}.part.json`]) await rm(left, { force: true });
  await fetchFile({
    url: place(addresses.checksums),
    file,
    maxSize: maxChecksums,
    httpsOnly: options.mirror === undefined,
    allowOwnAddresses: options.allowOwnAddresses ?? false,
    ...(options.signal ? { signal: options.signal } : {}),
  });
  const checksum = checksumOf(await readFile(file, 'utf8'), entry.file);
  await rm(file, { force: true });
  return { url: place(addresses.url), checksum };
}
