/** Options that many verbs share, said once. */
import { InvalidArgumentError, type Command } from 'commander';
import { formats } from './output/format.ts';

const unitsOfTime: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `120s`, `5m`, `1h`, `250ms`, or seconds → ms. @throws InvalidArgumentError */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  if (!match) throw new InvalidArgumentError('Write a duration such as 90s, 5m or 1h.');
  return Number(match[1]) * (unitsOfTime[match[2] ?? 's'] as number);
}

export function parseInteger(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new InvalidArgumentError('Write a whole number.');
  return Number(text);
}

/** Collects a repeated option. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value];

/** `key=value`, collected. @throws InvalidArgumentError */
export function collectLabel(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Write key=value.');
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

export const outputOption = (command: Command): Command =>
  command.option('-o, --output <format>', formats.join(', ')).option('--columns <names>', 'columns to show, separated by commas');

export const listOptions = (command: Command): Command =>
  outputOption(command)
    .option('--sort <column>', 'sort by a column; -column for descending')
    .option('--no-headers', 'no header line')
    .option('-w, --watch', 'keep printing what changes, until Ctrl-C');

export const waitOptions = (command: Command): Command =>
  command
    .option('--no-wait', 'return once the request is accepted')
    .option('--timeout <duration>', 'how long to wait (default 5m)', parseDuration);

export const dryRunOption = (command: Command): Command =>
  command.option('--dry-run', 'print what would be done, change nothing');

export const yesOption = (command: Command): Command => command.option('-y, --yes', 'do not ask (needed off a terminal)');

/** ms to wait unless `--timeout` says otherwise. */
export const defaultTimeout = 300_000;
