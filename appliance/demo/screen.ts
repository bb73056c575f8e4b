/** What the demo prints: chapters, commands as one would type them, results. Colours only on a terminal without NO_COLOR. */

export type Screen = {
  line(text?: string): void;
  /** Begins a numbered chapter. */
  chapter(title: string): void;
  /** A command line that is about to run. */
  command(text: string): void;
  /** What turned out, as a sentence. */
  result(text: string): void;
  /** What was printed by a program, indented. */
  quote(text: string): void;
  /** A row of who reaches whom. */
  reach(row: ReachRow): void;
};

export type ReachRow = { from: string; to: string; why: string; ping: boolean; tcp: boolean };

type Style = 'bold' | 'dim' | 'green' | 'red' | 'cyan';
const codes: Record<Style, [number, number]> = { bold: [1, 22], dim: [2, 22], green: [32, 39], red: [31, 39], cyan: [36, 39] };

/** True when `stream` is a terminal that may be coloured (https://no-color.org; FORCE_COLOR for recordings). */
export const wantsColour = (stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean =>
  !env.NO_COLOR && (Boolean(env.FORCE_COLOR) || (stream.isTTY === true && env.TERM !== 'dumb'));

export function createScreen(write: (text: string) => void, colour: boolean): Screen {
  const paint = (style: Style, text: string): string => {
    const [on, off] = codes[style];
    return colour ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  };
  const yesNo = (yes: boolean): string => (yes ? paint('green', 'yes') : paint('red', 'no '));
  let chapters = 0;
  const line = (text = ''): void => write(`${text}\n`);
  return {
    line,
    chapter: (title) => line(`\n${paint('bold', `${++chapters}. ${title}`)}`),
    command: (text) => line(`   ${paint('dim', '$')} ${paint('cyan', text)}`),
    result: (text) => line(`   ${paint('green', '✓')} ${text}`),
    quote: (text) => {
      for (const one of text.split('\n')) line(`   ${paint('dim', one)}`);
    },
    reach: ({ from, to, why, ping, tcp }) =>
      line(`   ${from.padEnd(7)} → ${to.padEnd(7)} ${paint('dim', why.padEnd(11))} ping ${yesNo(ping)}  TCP ${yesNo(tcp)}`),
  };
}
