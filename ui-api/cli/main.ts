/**
 * The CLI: `croft <noun> <verb>`, a client of `/v1` and nothing more.
 *
 * Theory of operation: `main` builds the command tree (program.ts; one module per noun, loaded when named), commander
 * parses, and a verb works with a Session (session.ts): the API client of the chosen Croft (context.ts), data to standard
 * output in the chosen format (output/), everything else to standard error. Verbs that change something wait for the
 * effect (wait.ts). Every failure ends here: it is told with cause, next step and code, and becomes one of the exit codes
 * of exit.ts. `main` neither exits nor touches the process: tests and appliance/main.ts call it with their own Io.
 */
import { CommanderError } from 'commander';
import { isAbort } from '../client/problem.ts';
import { exitCodeOf, exitCodes } from './exit.ts';
import { processIo, type Io } from './io.ts';
import { describeFailure } from './output/failure.ts';
import { buildProgram } from './program.ts';
import { openSession, type Shell } from './session.ts';

/** Runs one command line (without program and script name) and returns its exit code. Never throws. */
export async function main(argv: string[], io: Io = processIo()): Promise<number> {
  const shell: Shell = { io, exitCode: exitCodes.ok };
  try {
    if (argv[0] === '__complete') return await printCompletions(shell, argv.slice(argv[1] === '--' ? 2 : 1));
    const program = await buildProgram(shell, argv);
    await program.parseAsync(argv, { from: 'user' });
    return shell.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    // Ctrl-C in a stream (`--watch`, `event tail`) is its normal end: nothing to tell.
    if (!io.signal.aborted || !isAbort(error)) {
      const lines = await describeFailure(error, shell.last);
      io.stderr.write(`croft: ${lines.join('\n')}\n`);
    }
    return exitCodeOf(error);
  }
}

async function printCompletions(shell: Shell, typed: string[]): Promise<number> {
  const { complete } = await import('./complete.ts');
  const program = await buildProgram(shell, typed);
  const found = await complete(program, typed, () => openSession(shell, {}).client);
  shell.io.stdout.write(found.map((word) => `${word}\n`).join(''));
  return exitCodes.ok;
}
