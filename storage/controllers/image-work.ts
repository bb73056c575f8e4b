/** Makes an image's bytes: build, fetch or copy, then convert, then hand to the pool. Restartable from any point. */
import { constants, createReadStream } from 'node:fs';
import { copyFile, mkdir, rm, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { createHash } from 'node:crypto';
import { run } from '../../appliance/host/exec.ts';
import { CroftError } from '../../appliance/errors.ts';
import type { Image } from '../../appliance/resources/croft-kinds.ts';
import type { VolumeDriver } from '../driver.ts';
import { resolveCatalogue } from '../images/catalogue.ts';
import { buildDebian } from '../images/debian/build.ts';
import { convertImage } from '../images/convert.ts';
import { fetchFile } from '../images/fetch.ts';
import { buildTiny } from '../images/tiny/build.ts';
import type { StorageContext } from './context.ts';

export type Phase = 'Fetching' | 'Building' | 'Converting';
/** `fraction` 0 to 1 of the phase. */
export type Report = (phase: Phase, fraction: number, step?: string) => void;

type Job = {
  image: Image;
  id: string;
  driver: VolumeDriver;
  report: Report;
  /** Told before the first byte of a catalogue's image is fetched. */
  onOrigin: (origin: { url: string; checksum: string }) => Promise<unknown>;
  signal: AbortSignal;
};

/** @throws CroftError as its parts do; `invalid-input` when the source names nothing that can be made */
export async function makeImage(context: StorageContext, job: Job): Promise<{ size: number; used: number }> {
  const present = await job.driver.getImage(job.id);
  if (present) return present;
  const workDir = join(context.imageWork, job.id);
  await mkdir(workDir, { recursive: true, mode: 0o711 });
  const flat = await flatFile(context, job, workDir);
  job.report('Converting', 1, 'taking it into the pool');
  const taken = await job.driver.importImage(job.id, flat);
  await rm(workDir, { recursive: true, force: true });
  return taken;
}

async function flatFile(context: StorageContext, job: Job, workDir: string): Promise<string> {
  const { image, report, signal } = job;
  const { build, catalogue, file } = image.spec.source;
  const input = join(workDir, 'input');
  if (build === 'tiny') {
    const output = join(workDir, 'tiny.qcow2');
    const progress = (fraction: number, step: string): void => report('Building', fraction, step);
    await buildTiny({ workDir: join(workDir, 'tiny'), cacheDir: join(context.cache, 'tiny'), output, run, progress, signal });
    return output;
  }
  if (build === 'debian') {
    const output = join(workDir, 'debian.qcow2');
    const progress = (fraction: number, step: string): void => report('Building', fraction, step);
    const directories = { workDir: join(workDir, 'debian'), cacheDir: join(context.cache, 'debian') };
    await buildDebian({ ...directories, output, run, progress, signal });
    return output;
  }
  const origin = catalogue === undefined ? image.spec.source : await fromCatalogue(context, job, workDir, catalogue);
  if (origin.url !== undefined) {
    const checksum = image.spec.checksum ?? ('checksum' in origin ? origin.checksum : undefined);
    await fetchFile({
      url: origin.url,
      file: input,
      ...(checksum === undefined ? {} : { checksum }),
      maxSize: context.maxImageSize,
      progress: (done, total) => report('Fetching', done / total),
      signal,
      allowOwnAddresses: context.allowOwnAddresses,
    });
    return convert(context, job, workDir, input);
  }
  if (file !== undefined) {
    await copyIn(file, input, context.maxImageSize);
    await checkFile(input, image.spec.checksum);
    return convert(context, job, workDir, input);
  }
  if (image.spec.source.upload !== undefined) {
    const progress = (done: number, total: number): void => report('Fetching', done / total, 'receiving the upload');
    const part = await context.uploads.completed(job.id, { signal, progress });
    await checkFile(part, image.spec.checksum);
    return convert(context, job, workDir, part);
  }
  throw new CroftError('invalid-input', 'spec.source: name one of build, catalogue, url, file or upload.');
}

async function fromCatalogue(context: StorageContext, job: Job, workDir: string, name: string) {
  job.report('Fetching', 0, "reading the publisher's checksums");
  const origin = await resolveCatalogue({
    name,
    workDir,
    signal: job.signal,
    allowOwnAddresses: context.allowOwnAddresses,
    mirror: context.catalogueMirror,
  });
  await job.onOrigin(origin);
  return origin;
}

async function convert(context: StorageContext, job: Job, workDir: string, input: string): Promise<string> {
  const { report, signal } = job;
  const output = join(workDir, 'flat.qcow2');
  report('Converting', 0);
  await convertImage({
    input,
    workDir: join(workDir, 'convert'),
    output,
    maxSize: context.maxImageSize,
    progress: (done, total) => report('Converting', done / total),
    signal,
  });
  // An upload stays until the pool has the image: nobody would send it again.
  if (!job.image.spec.source.upload) await rm(input, { force: true });
  return output;
}

/** A copy, because the original is not ours to give to another uid; a reflink where the file system can. */
async function copyIn(file: string, input: string, maxSize: number): Promise<void> {
  if (!isAbsolute(file))
    throw new CroftError('invalid-input', `spec.source.file: ${JSON.stringify(file)} is not an absolute path.`);
  const stats = await stat(file).catch((error: Error) => {
    throw new CroftError('not-found', `spec.source.file: ${file} cannot be read.`, { cause: error });
  });
  if (!stats.isFile()) throw new CroftError('invalid-input', `spec.source.file: ${file} is not a regular file.`);
  if (stats.size > maxSize)
    throw new CroftError('too-large', `spec.source.file: ${file} has ${stats.size} bytes; ${maxSize} are allowed.`);
  await copyFile(file, input, constants.COPYFILE_FICLONE);
}

async function checkFile(input: string, checksum: string | undefined): Promise<void> {
  if (checksum === undefined) return;
  const [algorithm = '', wanted] = checksum.split(':');
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(input)) hash.update(chunk as Buffer);
  const found = hash.digest('hex');
  if (found !== wanted)
    throw new CroftError('checksum-mismatch', `checksum: the file has ${algorithm}:${found}, expected was ${checksum}.`);
}

/** Removes the scratch space of an image that is gone. */
export const forgetWork = (context: StorageContext, id: string): Promise<void> =>
  rm(join(context.imageWork, id), { recursive: true, force: true });
