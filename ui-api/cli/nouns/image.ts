/** `croft image`: add from a name of the catalogue, an address or a file, build here, list, delete. */
import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import type { CatalogueImage, Image, ImageCreate } from '../../client/types.ts';
import { usageError } from '../exit.ts';
import { dryRunOption, listOptions, outputOption, waitOptions } from '../options.ts';
import { catalogueColumns, imageColumns } from '../output/columns.ts';
import { percent } from '../output/values.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { nearest } from '../suggest.ts';
import { waitUntil } from '../wait.ts';
import { addDelete, addList, addShow, dryRun, type Noun } from './resource.ts';

const noun: Noun<Image> = { noun: 'image', title: 'Image', collection: (client) => client.images, columns: imageColumns };

const builds = ['tiny', 'debian'] as const;

export function register(program: Command, shell: Shell): void {
  const image = program.command('image').description('images that VMs are made of');
  addList(image, shell, noun);
  addShow(image, shell, noun);
  addCatalogue(image, shell);
  addAdd(image, shell);
  addBuild(image, shell);
  addDelete(image, shell, noun);
}

function addCatalogue(parent: Command, shell: Shell): void {
  const list = listOptions(parent.command('catalogue').description('list the well-known images that `add` takes by name'));
  onAction(list, shell, async ({ session }) => {
    session.printList(await session.client.imageCatalogue.list({}, session.io.signal), catalogueColumns);
  });
}

type AddOptions = { name?: string; checksum?: string; pool?: string; upload?: boolean };

const withCommon = (command: Command): Command =>
  waitOptions(
    dryRunOption(
      outputOption(command.option('--name <name>', 'name of the image').option('--pool <pool>', 'pool that keeps it')),
    ),
  );

function addAdd(parent: Command, shell: Shell): void {
  const add = withCommon(parent.command('add <source>').description('add an image: a name of the catalogue, a URL, or a file'))
    .option('--checksum <sum>', 'sha256:<hex> or sha512:<hex> of the bytes as fetched')
    .option('--upload', 'send the file over the API, as from another machine');
  onAction<AddOptions>(add, shell, async ({ args: [source = ''], options, session }) => {
    const body = await imageFrom(source, options, session);
    if (!body.source.upload) return create(session, body);
    if (await dryRun(session, (query) => session.client.images.create(body, query))) return;
    const { uploadFile } = await import('../upload.ts');
    await uploadFile(session, source, { name: body.name, checksum: body.checksum, pool: body.pool });
    await untilReady(session, body.name);
  });
}

/** @throws CliError usage */
async function imageFrom(source: string, { name, checksum, pool, upload }: AddOptions, session: Session): Promise<ImageCreate> {
  const common = { name: name ?? nameFrom(source), checksum, pool };
  if (/^https?:\/\//.test(source)) return { ...common, source: { url: source } };
  const build = builds.find((each) => each === source);
  if (build) return { ...common, source: { build } };
  if (!source.includes('/') && !existsSync(source)) {
    const entry = await inCatalogue(source, session);
    return { ...common, name: name ?? entry.name.replaceAll('.', '-'), source: { catalogue: entry.name } };
  }
  const here = existsSync(source);
  // Over its own socket the box reads the file itself: our path is its path.
  if (session.connection.socketPath && !upload) return { ...common, source: { file: resolve(source) } };
  if (here) return { ...common, source: { upload: {} } };
  // Not here, but it may well be a file of the box.
  if (source.startsWith('/') && !upload) return { ...common, source: { file: source } };
  throw usageError(`${source}: there is no such file here.`, 'Give a file, the absolute path of a file on the box, or a URL.');
}

/** @throws CliError usage, naming the nearest */
async function inCatalogue(source: string, session: Session): Promise<CatalogueImage> {
  const entries = await session.client.imageCatalogue.list({}, session.io.signal);
  const found = entries.find(({ name, aliases }) => name === source || aliases.includes(source));
  if (found) return found;
  const known = [...builds, ...entries.flatMap(({ name, aliases }) => [name, ...aliases])];
  const meant = nearest(source, known);
  throw usageError(
    `${JSON.stringify(source)} is no address, no file here, and no image of the catalogue.`,
    ...(meant ? [`Did you mean ${meant}?`] : []),
    `Give a URL, a file, or a name: ${entries.map(({ name }) => name).join(', ')}.`,
  );
}

/** `https://x/Debian_13-generic.qcow2` → `debian-13-generic`. */
export function nameFrom(source: string): string {
  const file = basename(source.replace(/[?#].*$/, ''));
  const stem = file.replace(/(\.(qcow2|img|raw|vmdk|gz|xz|zst|iso))+$/i, '');
  return stem
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 63);
}

function addBuild(parent: Command, shell: Shell): void {
  const build = withCommon(parent.command('build <recipe>').description(`build an image on the box: ${builds.join(' or ')}`));
  onAction<AddOptions>(build, shell, async ({ args: [recipe = ''], options, session }) => {
    const found = builds.find((each) => each === recipe);
    if (!found) throw usageError(`${JSON.stringify(recipe)} cannot be built.`, `There are ${builds.join(', ')}.`);
    await create(session, { name: options.name ?? found, pool: options.pool, source: { build: found } });
  });
}

async function create(session: Session, body: ImageCreate): Promise<void> {
  const { images } = session.client;
  if (await dryRun(session, (query) => images.create(body, query))) return;
  const { body: created } = await images.create(body, session.project);
  if (session.options.wait === false) return session.print(`${created.id ?? body.name}\n`);
  await untilReady(session, body.name);
}

async function untilReady(session: Session, name: string): Promise<void> {
  const { images } = session.client;
  if (session.options.wait === false) return;
  const made = await waitUntil<Image>(session, {
    what: `Image ${name}`,
    goal: 'ready',
    look: () => images.get(name, undefined, session.io.signal),
    reached: (image) => image?.state === 'ready',
    describe: (image) => [image?.state ?? 'missing', percent(image?.progress), image?.reason].filter(Boolean).join(' '),
    hopeless: (image) => (image?.state === 'failed' ? `failed: ${image.reason ?? 'no reason was given'}` : undefined),
    resume: `croft image show ${name} --watch`,
  });
  if (session.options.output && made) session.printOne(made, imageColumns);
}
