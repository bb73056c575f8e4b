/** What the console's toolbar can send, and what a console must offer to it. Key symbols are X11's. */
export type ConsoleStatus = 'connecting' | 'connected' | 'lost';

export type ConsoleHandle = {
  /** Presses all in order, then releases them. */
  sendKeys(keys: readonly number[]): void;
  /** Types text key by key. */
  type(text: string): void;
};

const control = 0xffe3;
const alt = 0xffe9;
const functionKey = (number: number): number => 0xffbd + number;

export const keyCombinations: readonly { title: string; keys: readonly number[] }[] = [
  { title: 'Ctrl+Alt+Delete', keys: [control, alt, 0xffff] },
  { title: 'Ctrl+Alt+Backspace', keys: [control, alt, 0xff08] },
  ...[1, 2, 3, 4, 5, 6, 7].map((number) => ({ title: `Ctrl+Alt+F${number}`, keys: [control, alt, functionKey(number)] })),
  { title: 'Alt+Tab', keys: [alt, 0xff09] },
  { title: 'Alt+F4', keys: [alt, functionKey(4)] },
  ...[1, 2, 8, 11, 12].map((number) => ({ title: `F${number}`, keys: [functionKey(number)] })),
  { title: 'Print', keys: [0xff61] },
  { title: 'Escape', keys: [0xff1b] },
];

/** X11 symbol of a typed character: Latin-1 as it is, the rest in the Unicode range, newline as Return. */
export function keysymOf(character: string): number {
  const point = character.codePointAt(0) ?? 0;
  if (character === '\n') return 0xff0d;
  if (character === '\t') return 0xff09;
  return point < 0x100 ? point : 0x1000000 + point;
}
