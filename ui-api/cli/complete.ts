/**
 * Completion candidates, worked out from the command tree itself: commands, then options, then live names. A placeholder
 * says what names fit: `<vm>` takes VMs, `--network <network>` networks.
 */
import type { Command } from 'commander';
import type { Client } from '../client/client.ts';
import { formats } from './output/format.ts';

/** ms for the API to tell names; completion must never feel stuck. */
const patience = 150;

/** Placeholder → the collection whose names fit. */
const collections: Record<string, string> = {
  vm: '/v1/vms',
  image: '/v1/images',
  volume: '/v1/volumes',
  network: '/v1/networks',
  uplink: '/v1/uplinks',
  pool: '/v1/pools',
  user: '/v1/users',
  token: '/v1/tokens',
  task: '/v1/tasks',
  instancetype: '/v1/instancetypes',
  preference: '/v1/preferences',
};

/** Placeholder → fixed words. */
const words: Record<string, readonly string[]> = {
  format: formats.filter((format) => !format.includes('=')),
  condition: ['running', 'stopped', 'ip', 'agent', 'deleted'],
  recipe: ['tiny', 'debian'],
  shell: ['bash', 'zsh', 'fish'],
  role: ['viewer', 'operator', 'admin'],
  strategy: ['Always', 'RerunOnFailure', 'Once', 'Manual', 'Halted'],
  method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
};

type Wanted = { words: string[] } | { placeholder: string; typed: string };

/** What is wanted at the end of `typed` (its last element is the word being typed). Pure. */
export function wantedAt(program: Command, typed: readonly string[]): Wanted {
  let command = program;
  let given = 0;
  const last = typed.at(-1) ?? '';
  for (let index = 0; index < typed.length - 1; index += 1) {
    const word = typed[index] as string;
    const option = optionNamed(command, word.split('=')[0] as string);
    if (option?.required && !word.includes('=')) {
      if (index === typed.length - 2) return { placeholder: placeholderIn(option.flags), typed: last };
      index += 1;
      continue;
    }
    if (word.startsWith('-')) continue;
    const next = command.commands.find((each) => each.name() === word || each.aliases().includes(word));
    if (next && given === 0) command = next;
    else given += 1;
  }
  if (last.startsWith('-')) return { words: optionsOf(command).filter((flag) => flag.startsWith(last)) };
  if (command.commands.length > 0) {
    const names = command.commands.filter((each) => !isHidden(each)).map((each) => each.name());
    return { words: names.filter((name) => name.startsWith(last)) };
  }
  const all = command.registeredArguments;
  const argument = all[given] ?? (all.at(-1)?.variadic ? all.at(-1) : undefined);
  return argument ? { placeholder: argument.name(), typed: last } : { words: [] };
}

/** Candidates, the API asked for names where they are wanted. Never throws: no candidates is an answer. */
export async function complete(program: Command, typed: readonly string[], client: () => Client): Promise<string[]> {
  const wanted = wantedAt(program, typed);
  if ('words' in wanted) return wanted.words;
  const { placeholder, typed: start } = wanted;
  const fixed = words[placeholder];
  const names = fixed ?? (await liveNames(collections[placeholder], client));
  return names.filter((name) => name.startsWith(start));
}

async function liveNames(path: string | undefined, client: () => Client): Promise<string[]> {
  if (path === undefined) return [];
  try {
    const items = await client().collection<{ name?: string; id?: string }>(path).list({}, AbortSignal.timeout(patience));
    return items.flatMap(({ name, id }) => name ?? id ?? []);
  } catch {
    // Without an API there are no names to offer, and nobody to tell: the shell shows nothing of us.
    return [];
  }
}

const isHidden = (command: Command): boolean => command.name().startsWith('_');
const placeholderIn = (flags: string): string => /<([^>]+)>/.exec(flags)?.[1] ?? '';

const lineage = (command: Command): Command[] => (command.parent ? [command, ...lineage(command.parent)] : [command]);

const optionNamed = (command: Command, flag: string) =>
  lineage(command)
    .flatMap((each) => each.options)
    .find((option) => option.long === flag || option.short === flag);

const optionsOf = (command: Command): string[] =>
  lineage(command)
    .flatMap((each) => each.options)
    .flatMap((option) => option.long ?? [])
    .concat('--help');
