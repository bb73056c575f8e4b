/** The one progress line on standard error. Off a terminal only its last word is printed, once. */
import type { OutputStream } from '../io.ts';

export type Progress = {
  /** Replaces the line; shown on terminals only. */
  update(text: string): void;
  /** Ends the line with a sentence that stays. */
  done(text: string): void;
  /** Takes the line away. */
  clear(): void;
};

const eraseLine = '\r\u001B[K';

export function progressOn(stream: OutputStream): Progress {
  let shown = '';
  const clear = () => {
    if (shown !== '') stream.write(eraseLine);
    shown = '';
  };
  return {
    update(text) {
      if (!stream.isTTY || text === shown) return;
      const line = text.slice(0, Math.max(20, (stream.columns ?? 80) - 1));
      stream.write(`${shown === '' ? '' : eraseLine}${line}`);
      shown = line;
    },
    done(text) {
      clear();
      stream.write(`${text}\n`);
    },
    clear,
  };
}
