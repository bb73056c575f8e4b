/** Runs the CLI in this process with streams of our own. */
import { Readable, Writable } from 'node:stream';
import { main } from '../../../ui-api/cli/main.ts';

export type Ran = { code: number; stdout: string; stderr: string };

export type RunOptions = {
  env?: NodeJS.ProcessEnv;
  stdin?: string | Readable;
  signal?: AbortSignal;
  /** Columns of a terminal on standard output and error. */
  terminal?: number;
  onStdout?: (text: string) => void;
};

function sink(
  columns: number | undefined,
  on: (text: string) => void = () => {},
): { stream: Writable & { isTTY?: boolean; columns?: number }; text: () => string } {
  let text = '';
  const stream: Writable & { isTTY?: boolean; columns?: number } = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      on(String(chunk));
      done();
    },
  });
  if (columns !== undefined) Object.assign(stream, { isTTY: true, columns });
  return { stream, text: () => text };
}

export async function runCli(argv: string[], options: RunOptions = {}): Promise<Ran> {
  const out = sink(options.terminal, options.onStdout);
  const err = sink(options.terminal);
  const stdin =
    options.stdin instanceof Readable ? options.stdin : Readable.from(options.stdin === undefined ? [] : [options.stdin]);
  const code = await main(argv, {
    stdin,
    stdout: out.stream,
    stderr: err.stream,
    env: { HOME: '/nonexistent', ...options.env },
    signal: options.signal ?? new AbortController().signal,
  });
  return { code, stdout: out.text(), stderr: err.text() };
}
