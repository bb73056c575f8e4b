/**
 * docs/cli.md out of the command tree: `renderReference` is pure, a test compares its result with the file.
 * Run this file to print it: `node ui-api/cli/reference.ts > docs/cli.md`.
 */
import type { Command, Option } from 'commander';
import { exitCodes, exitMeanings } from './exit.ts';

const visible = ({ commands }: Command): Command[] => [...commands].filter((command) => !command.name().startsWith('_'));

const cell = (text: string): string => text.replaceAll('|', '\\|');

/** `croft vm create <name>` */
function usageOf(command: Command): string {
  const names: string[] = [];
  for (let each: Command | null = command; each; each = each.parent) names.unshift(each.name());
  const rest = command.registeredArguments.map((argument) => {
    const name = argument.variadic ? `${argument.name()}...` : argument.name();
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  return [...names, ...rest].join(' ');
}

function optionTable(options: readonly Option[]): string[] {
  if (options.length === 0) return [];
  const rows = options.map(
    ({ flags, description, mandatory }) => `| \`${cell(flags)}\` | ${cell(description)}${mandatory ? ' (required)' : ''} |`,
  );
  return ['', '| Option | |', '|---|---|', ...rows];
}

function renderVerb(command: Command): string[] {
  const aliases =
    command.aliases().length > 0
      ? ` Also: ${command
          .aliases()
          .map((alias) => `\`${alias}\``)
          .join(', ')}.`
      : '';
  return [`### \`${usageOf(command)}\``, '', `${sentence(command.description())}${aliases}`, ...optionTable(command.options), ''];
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;

/** Markdown of the whole tree; ends with a newline. */
export function renderReference(program: Command): string {
  const nouns = visible(program);
  const lines = [
    '# The `croft` command',
    '',
    'Made from the command tree by `ui-api/cli/reference.ts`; do not edit. The box’s own commands (start, demo and the like) are in the README.',
    '',
    'Data goes to standard output, everything else to standard error. Commands that change something wait for the effect;',
    'Ctrl-C stops the waiting, not the work. `NO_COLOR` is honoured.',
    '',
    '## Options of every command',
    ...optionTable(program.options),
    '',
    '## Which Croft',
    '',
    'In this order: `--host`, `--context`, `CROFT_HOST` (with `CROFT_TOKEN`), `CROFT_RUN` (that box’s socket), the current context',
    'of `croft login`, this box’s own socket `/run/croft/api/api.sock` (root only, no sign-in). `CROFT_PROJECT` is the default of `--project`.',
    '',
    '## Exit codes',
    '',
    '| Code | Meaning |',
    '|---|---|',
    ...Object.values(exitCodes).map((code) => `| ${code} | ${exitMeanings[code]} |`),
    '',
  ];
  for (const noun of nouns) {
    if (visible(noun).length === 0) lines.push(...renderVerb(noun).map((line) => line.replace(/^### /, '## ')));
    else {
      lines.push(`## \`croft ${noun.name()}\``, '', sentence(noun.description()), '');
      for (const verb of visible(noun)) lines.push(...renderVerb(verb));
    }
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

if (import.meta.main) {
  const { buildWholeProgram } = await import('./program.ts');
  const { processIo } = await import('./io.ts');
  process.stdout.write(renderReference(await buildWholeProgram({ io: processIo(), exitCode: 0 })));
}
