/** A conversation with a serial console: what to type and what to wait for, in order. Pure but for its timers. */
import { CliError, exitCodes } from './exit.ts';

export type ScriptStep = { send: string } | { expect: RegExp };

/** Bytes of output kept to match against. */
const keep = 65_536;

/** Plays `steps`; feed it the output with `hear`. */
export class ConsoleScript {
  readonly #steps: ScriptStep[];
  readonly #type: (text: string) => void;
  readonly #timeout: number;
  #heard = '';
  #timer: NodeJS.Timeout | undefined;
  readonly #ended = Promise.withResolvers<void>();

  /** `timeout` in ms, for each expectation. */
  constructor(steps: readonly ScriptStep[], type: (text: string) => void, timeout: number) {
    this.#steps = [...steps];
    this.#type = type;
    this.#timeout = timeout;
  }

  /** Begins; resolves when all steps are done. @throws CliError 6 when an expected text does not come */
  run(): Promise<void> {
    this.#advance();
    return this.#ended.promise;
  }

  hear(text: string): void {
    this.#heard = (this.#heard + text).slice(-keep);
    this.#advance();
  }

  /** The console has ended: what is still expected will not come. */
  close(): void {
    const step = this.#steps[0];
    if (step && 'expect' in step) this.#end(new CliError(exitCodes.failed, `The console closed before ${step.expect} was seen.`));
    else this.#end();
  }

  #advance(): void {
    for (;;) {
      const step = this.#steps[0];
      if (!step) return this.#end();
      if ('send' in step) this.#type(`${step.send}\r`);
      else {
        const found = step.expect.exec(this.#heard);
        if (!found) return this.#expectLater(step.expect);
        // Each expectation looks only at what came after the one before.
        this.#heard = this.#heard.slice(found.index + found[0].length);
      }
      this.#steps.shift();
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
  }

  #expectLater(expect: RegExp): void {
    this.#timer ??= setTimeout(() => {
      this.#end(new CliError(exitCodes.timeout, `${expect} was not seen within ${this.#timeout / 1000} s.`));
    }, this.#timeout);
  }

  #end(error?: Error): void {
    clearTimeout(this.#timer);
    if (error) this.#ended.reject(error);
    else this.#ended.resolve();
  }
}
