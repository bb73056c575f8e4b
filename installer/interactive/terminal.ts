/** Standard input and output as a terminal for converse.ts: lines are edited here, so that a secret is never echoed. */
import type { Terminal } from './converse.ts';

const backspace = new Set(['\u0008', '\u007f']);
/** Ctrl-C and Ctrl-U: the line is given up. */
const giveUp = new Set(['\u0003', '\u0015']);

export function openTerminal(input: NodeJS.ReadStream, output: NodeJS.WritableStream): Terminal & { close(): void } {
  if (input.isTTY) input.setRawMode(true);
  input.setEncoding('utf8');
  const pending: string[] = [];
  let wake: (() => void) | undefined;
  let ended = false;
  /** A terminal that sends CR LF for one key ends one line, not two. */
  let afterReturn = false;
  input.on('data', (text: string) => {
    pending.push(...text.split(''));
    wake?.();
  });
  const end = (): void => {
    ended = true;
    wake?.();
  };
  input.on('end', end);
  input.on('error', end);

  const next = async (): Promise<string> => {
    while (pending.length === 0) {
      if (ended) throw new Error('the terminal is gone');
      await new Promise<void>((resolve) => (wake = resolve));
    }
    return pending.shift() as string;
  };

  return {
    write: (text) => void output.write(text.replaceAll('\n', '\r\n')),
    async readLine(secret) {
      let line = '';
      for (;;) {
        const character = await next();
        if (character === '\n' && line === '' && afterReturn) {
          afterReturn = false;
          continue;
        }
        afterReturn = character === '\r';
        if (character === '\r' || character === '\n') {
          output.write('\r\n');
          return line;
        }
        if (backspace.has(character)) {
          if (line !== '' && !secret) output.write('\b \b');
          line = line.slice(0, -1);
        } else if (giveUp.has(character)) {
          if (!secret) output.write('\b \b'.repeat(line.length));
          line = '';
        } else if (character >= ' ') {
          line += character;
          if (!secret) output.write(character);
        }
      }
    },
    close: () => {
      if (input.isTTY) input.setRawMode(false);
      input.pause();
    },
  };
}
