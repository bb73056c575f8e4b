/** `croft apply` and `croft diff`: manifests, Croft's flat objects and KubeVirt's kinds alike. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { parseAllDocuments } from 'yaml';
import { CliError, exitCodeOf, exitCodes, usageError } from '../exit.ts';
import { readAll, type Io } from '../io.ts';
import { collect, dryRunOption, outputOption } from '../options.ts';
import { plain } from '../output/values.ts';
import { onAction, type Session, type Shell } from '../session.ts';

/** One planned change of a dry run. */
type Planned = {
  verb: string;
  kind: string;
  name: string;
  project?: string;
  changes: { path: string; from?: unknown; to?: unknown }[];
};
type Plan = { plan?: Planned[] };
type Applied = { items: { kind: string; name: string; project?: string; result: string }[] };

const fileOption = (command: Command): Command =>
  command.requiredOption(
    '-f, --file <path>',
    'file, directory of .yaml and .json files, or - for standard input; may be repeated',
    collect,
  );

export function registerApply(program: Command, shell: Shell): void {
  const apply = fileOption(program.command('apply').description('create or change what manifests describe'));
  dryRunOption(outputOption(apply));
  onAction<{ file: string[] }>(apply, shell, async ({ options, session }) => {
    const manifests = await readManifests(options.file, session.io);
    if (options.dryRun) return session.printPlan((await send(session, manifests, true)) as Plan);
    const answer = await send(session, manifests, false);
    if (options.output && options.output !== 'table') return session.printOne(answer, []);
    for (const { kind, name, result } of (answer as Applied).items) session.print(`${kind}/${name} ${result}\n`);
  });
}

export function registerDiff(program: Command, shell: Shell): void {
  const diff = outputOption(
    fileOption(
      program
        .command('diff')
        .description('show what apply would change; exits 0 for nothing, 1 for something, 2 and more on failure'),
    ),
  );
  onAction<{ file: string[] }>(diff, shell, async ({ options, session }) => {
    const { plan = [] } = await failingAboveOne(async () => {
      const manifests = await readManifests(options.file, session.io);
      return (await send(session, manifests, true)) as Plan;
    });
    const changes = plan.filter(({ verb, changes: fields }) => verb !== 'update' || fields.length > 0);
    if (options.output && options.output !== 'table') session.printOne({ plan: changes }, []);
    else session.print(changes.map(describeChange).join(''));
    if (changes.length > 0) shell.exitCode = 1;
  });
}

/** 1 means "different" here, so a plain failure becomes 2. */
async function failingAboveOne<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (exitCodeOf(error) !== exitCodes.failed) throw error;
    throw new CliError(exitCodes.usage, error instanceof Error ? error.message : String(error));
  }
}

function describeChange({ verb, kind, name, project, changes }: Planned): string {
  const lines = [`${verb} ${kind} ${project ? `${project}/` : ''}${name}`];
  for (const { path, from, to } of changes) {
    if (from !== undefined) lines.push(`  - ${path}: ${plain(from)}`);
    if (to !== undefined) lines.push(`  + ${path}: ${plain(to)}`);
  }
  return `${lines.join('\n')}\n`;
}

async function send({ client, project }: Session, yaml: string, dryRun: boolean): Promise<unknown> {
  const { body } = await client.request('POST', '/v1/apply', {
    body: new TextEncoder().encode(yaml),
    contentType: 'application/yaml',
    query: { ...project, dryRun: dryRun || undefined },
  });
  return body;
}

/** All documents as one YAML stream. Read here first, so that a mistake is told with its file and line. */
async function readManifests(paths: string[], io: Io): Promise<string> {
  const parts: string[] = [];
  for (const path of paths) {
    for (const { name, text } of await readPath(path, io)) {
      const documents = parseAllDocuments(text);
      const error = Array.isArray(documents) ? documents.flatMap((document) => document.errors)[0] : undefined;
      if (error) throw usageError(`${name} is not readable as YAML: ${error.message}`);
      parts.push(text.endsWith('\n') ? text : `${text}\n`);
    }
  }
  if (parts.every((text) => text.trim() === '')) throw usageError(`There is nothing in ${paths.join(', ')}.`);
  return parts.join('---\n');
}

async function readPath(path: string, io: Io): Promise<{ name: string; text: string }[]> {
  if (path === '-') return [{ name: 'standard input', text: await readAll(io.stdin) }];
  try {
    if (!(await stat(path)).isDirectory()) return [{ name: path, text: await readFile(path, 'utf8') }];
    const files = (await readdir(path)).filter((file) => /\.(ya?ml|json)$/.test(file)).toSorted();
    return await Promise.all(
      files.map(async (file) => ({ name: join(path, file), text: await readFile(join(path, file), 'utf8') })),
    );
  } catch (error) {
    throw usageError(`-f: ${path} cannot be read: ${(error as Error).message}`);
  }
}
