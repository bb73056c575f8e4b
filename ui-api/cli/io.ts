/** The outside world of one run of the CLI: streams, environment, interruption. Tests hand in their own. */

export type InputStream = NodeJS.ReadableStream & { isTTY?: boolean; setRawMode?(raw: boolean): unknown };
export type OutputStream = NodeJS.WritableStream & { isTTY?: boolean; columns?: number };

export type Io = {
  stdin: InputStream;
  stdout: OutputStream;
  stderr: OutputStream;
  env: NodeJS.ProcessEnv;
  /** Aborts at Ctrl-C. Only what waits listens to it: the work itself goes on. */
  signal: AbortSignal;
};

/** The process's own streams; the first Ctrl-C aborts the signal, a second one ends the process as usual. */
export function processIo(): Io {
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // `croft vm list | head` closes our output early: that is a normal end.
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: process.env, signal: interrupt.signal };
}

/** True when colour is welcome on a stream (https://no-color.org). */
export const wantsColour = (stream: OutputStream, env: NodeJS.ProcessEnv): boolean =>
  stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';

/** Everything on standard input as text. */
export async function readAll(stream: InputStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}
