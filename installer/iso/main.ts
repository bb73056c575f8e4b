/**
 * `npm run iso -- --variant mini|full [--output DIR] [--again] [--k3s FOLDER] [--key FILE] [--trust FILE]
 * [--compression 1-22]` builds the image and says where it is;
 * `npm run iso -- customize IMAGE --answers FILE [--arguments TEXT] [--ask-first]` puts answers into one, in place.
 */
import { copyFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '../../appliance/config.ts';
import { CroftError, isCroftError, messageOf } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { ensurePackages, explainMissing } from '../../appliance/install/installer.ts';
import { makeBundle } from '../update/bundle.ts';
import { buildImage } from './build.ts';
import { customizeIso } from './customize.ts';

const home = join(import.meta.dirname, '../..');
const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function build(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      variant: { type: 'string', default: 'full' },
      output: { type: 'string' },
      again: { type: 'boolean', default: false },
      k3s: { type: 'string' },
      key: { type: 'string' },
      trust: { type: 'string', multiple: true, default: [] },
      compression: { type: 'string' },
    },
  });
  const { variant } = values;
  if (variant !== 'mini' && variant !== 'full') {
    throw new CroftError('invalid-input', `--variant: ${JSON.stringify(variant)} must be mini or full.`);
  }
  const { cache: cacheRoot, data } = loadConfig();
  const cache = join(cacheRoot, 'iso');
  const install = !['no', '0', 'false'].includes(process.env.CROFT_INSTALL ?? 'yes');
  for (const line of explainMissing(await ensurePackages({ purpose: 'iso', install, dataDir: data, log: print }))) print(line);
  const built = await buildImage({
    variant,
    home,
    cache,
    print,
    again: values.again,
    trust: values.trust,
    ...(values.key === undefined ? {} : { key: values.key }),
    ...(values.k3s === undefined ? {} : { k3s: values.k3s }),
    ...(values.compression === undefined ? {} : { compression: Number(values.compression) }),
  });
  const output = values.output ?? join(cache, 'out');
  await mkdir(output, { recursive: true });
  const name = `croft-${built.release.version}-${variant}`;
  const files = [`${name}.iso`, `${name}.slot.img`, `${name}.update`, `${name}.cdx.json`];
  await copyFile(built.iso, join(output, `${name}.iso`));
  await copyFile(built.slot, join(output, `${name}.slot.img`));
  await copyFile(built.sbom, join(output, `${name}.cdx.json`));
  await makeBundle(join(output, `${name}.update`), built);
  for (const to of files) {
    const { stdout } = await run(['sha256sum', to], { cwd: output, timeout: 120_000 });
    await writeFile(join(output, `${to}.sha256`), `${stdout}\n`);
    print(`${stdout}  ${((await stat(join(output, to))).size / 1e6).toFixed(0)} MB  ${join(output, to)}`);
  }
}

async function customize(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { answers: { type: 'string' }, arguments: { type: 'string' }, 'ask-first': { type: 'boolean', default: false } },
  });
  const [iso] = positionals;
  if (iso === undefined || values.answers === undefined || positionals.length > 1) {
    throw new CroftError('invalid-input', 'customize takes one image and --answers FILE.');
  }
  const start = values['ask-first'] ? {} : ({ entry: 'install', timeout: 5 } as const);
  await customizeIso(iso, { answers: await readFile(values.answers, 'utf8'), kernelArguments: values.arguments, ...start });
  print(
    `${iso}: ${values['ask-first'] ? 'the menu waits for you to choose Install' : 'installs by itself five seconds after it starts'}.`,
  );
}

try {
  const [verb, ...rest] = process.argv.slice(2);
  await (verb === 'customize' ? customize(rest) : build(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`croft iso: ${messageOf(error)}\n`);
  if (isCroftError(error)) for (const fix of error.fix) process.stderr.write(`croft iso: ${fix}\n`);
  process.exitCode = 1;
}
