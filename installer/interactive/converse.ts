/** Asks the screens one after the other on a terminal or a serial line. */
import type { Choices, Facts, Screen } from './screens.ts';

export type Terminal = {
  write(text: string): void;
  /** One line without its end. @throws Error when the terminal is gone */
  readLine(secret: boolean): Promise<string>;
};

/** Resolves to all choices, once the last screen has accepted. */
export async function converse(screens: readonly Screen[], facts: Facts, terminal: Terminal): Promise<Choices> {
  let choices: Choices = {};
  for (let at = 0; at < screens.length; ) {
    const screen = screens[at] as Screen;
    terminal.write(`\n--- ${screen.title} (${at + 1} of ${screens.length})\n`);
    for (const line of screen.lines(facts, choices)) terminal.write(`${line}\n`);
    const next = await ask(screen, facts, choices, terminal);
    if (next === 'back') {
      at = Math.max(0, at - 1);
      continue;
    }
    choices = next;
    at += 1;
  }
  return choices;
}

async function ask(screen: Screen, facts: Facts, choices: Choices, terminal: Terminal): Promise<Choices | 'back'> {
  const standard = screen.standard?.(facts, choices);
  for (;;) {
    terminal.write(`${screen.question}${standard === undefined ? '' : ` [${standard}]`}: `);
    const line = await terminal.readLine(screen.secret === true);
    const input = screen.secret ? line : line.trim();
    if (input === '<') return 'back';
    if (input === '?') {
      terminal.write(`${screen.help}\n`);
      continue;
    }
    const accepted = screen.accept(input === '' && standard !== undefined ? standard : input, facts, choices);
    if (typeof accepted !== 'string') return accepted;
    terminal.write(`${accepted}\n`);
  }
}
