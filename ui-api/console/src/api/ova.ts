/** An OVA, or an OVF with its disks, as files of the person's own machine: taken apart here, nothing is unpacked. */
import { CroftError } from '../../../../appliance/errors.ts';
import { maxDescriptor, parseManifest, type Manifest } from '../../../../appliance/ovf/manifest.ts';
import { readTar } from '../../../../appliance/host/tar-read.ts';
import { text } from '../i18n/text.ts';
import type { Part } from './uploads.ts';

/** Where the bytes of one of its files are. */
export type Member = { file: File; part: Part };
export type Package = { title: string; descriptor: string; manifest: Manifest; members: ReadonlyMap<string, Member> };

const refuse = (why: string): CroftError => new CroftError('invalid-input', why, { fix: [] });

async function membersOf(file: File): Promise<[string, Member][]> {
  const read = async (offset: number, length: number) => new Uint8Array(await file.slice(offset, offset + length).arrayBuffer());
  const entries = await readTar(read, file.size);
  return entries.map(({ name, offset, size }) => [name, { file, part: { offset, length: size } }]);
}

const textOf = ({ file, part }: Member): Promise<string> => file.slice(part.offset, part.offset + part.length).text();

/** @throws CroftError `invalid-input` for what is no package */
export async function readPackage(files: readonly File[]): Promise<Package> {
  const [first] = files;
  const isOva = files.length === 1 && first !== undefined && /\.ova$/i.test(first.name);
  const found = isOva
    ? await membersOf(first)
    : files.map((file): [string, Member] => [file.name, { file, part: { offset: 0, length: file.size } }]);
  const members = new Map(found);
  const named = (ending: RegExp) => found.filter(([name]) => ending.test(name));
  const [descriptor, ...others] = named(/\.ovf$/i);
  if (!descriptor || others.length > 0) throw refuse(text.import.notPackage);
  if (descriptor[1].part.length > maxDescriptor) throw refuse(text.import.tooLong(descriptor[0]));
  const manifest = named(/\.mf$/i)[0]?.[1];
  return {
    title: first?.name ?? '',
    descriptor: await textOf(descriptor[1]),
    manifest: parseManifest(manifest && manifest.part.length <= maxDescriptor ? await textOf(manifest) : ''),
    members,
  };
}
