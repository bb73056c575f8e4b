/** Questions to a person. They go to standard error: standard output is for data. */
import { createInterface } from 'node:readline/promises';
import { Readable } from 'node:stream';
import { CliError, exitCodes, usageError } from './exit.ts';
import type { Io } from './io.ts';

/** @throws CliError usage off a terminal */
function needTerminal(io: Io, instead: string): void {
  if (!io.stdin.isTTY) throw usageError('There is no terminal to ask on.', instead);
}

export async function ask(io: Io, question: string, instead: string): Promise<string> {
  needTerminal(io, instead);
  const lines = createInterface({ input: io.stdin, output: io.stderr });
  try {
    return (await lines.question(`${question} `, { signal: io.signal })).trim();
  } finally {
    lines.close();
  }
}

/** Asks before destructive work, naming its effect. @throws CliError 1 when refused, usage off a terminal without `--yes` */
export async function confirm(io: Io, effect: string, yes: boolean | undefined): Promise<void> {
  if (yes) return;
  if (!io.stdin.isTTY) throw usageError(`${effect} Nothing was done: this needs a yes.`, 'Repeat the command with --yes.');
  const answer = await ask(io, `${effect} Go on? [y/N]`, 'Repeat the command with --yes.');
  if (!/^y(es)?$/i.test(answer)) throw new CliError(exitCodes.failed, 'Nothing was done.');
}

const linesLeft = (stream: Io['stdin']): AsyncIterable<unknown> =>
  stream instanceof Readable ? stream.iterator({ destroyOnReturn: false }) : stream;

/** Reads a line without showing it. */
export async function askHidden(io: Io, question: string, instead: string): Promise<string> {
  needTerminal(io, instead);
  io.stderr.write(`${question} `);
  io.stdin.setRawMode?.(true);
  let text = '';
  try {
    // The next question reads on where this one ends.
    for await (const chunk of linesLeft(io.stdin)) {
      for (const key of String(chunk)) {
        if (key === '\r' || key === '\n') return text;
        if (key === '\u0003') throw new CliError(exitCodes.interrupted, 'Interrupted.');
        text = key === '\u007F' ? text.slice(0, -1) : text + key;
      }
    }
    return text;
  } finally {
    io.stdin.setRawMode?.(false);
    io.stderr.write('\n');
  }
}
