/** What a verb works with: the client of the chosen Croft, standard output for data, standard error for everything else. */
import type { Command } from 'commander';
import type { Client } from '../client/client.ts';
import { createNodeClient } from '../client/node.ts';
import { resolveConnection, type Connection, type ConnectionOptions } from './context.ts';
import type { Io } from './io.ts';
import type { Column } from './output/columns.ts';
import { parseFormat, renderList, renderOne } from './output/format.ts';
import { progressOn, type Progress } from './output/progress.ts';

/** Options that verbs share; each verb adds its own. */
export type CommonOptions = ConnectionOptions & {
  output?: string;
  columns?: string;
  sort?: string;
  headers?: boolean;
  watch?: boolean;
  wait?: boolean;
  timeout?: number;
  dryRun?: boolean;
  yes?: boolean;
};

export type Session = {
  io: Io;
  client: Client;
  connection: Connection;
  options: CommonOptions;
  progress: Progress;
  /** `?project=` of this call. */
  project: { project?: string };
  /** Data, to standard output, as it is. */
  print(text: string): void;
  /** A sentence for people, to standard error. */
  say(text: string): void;
  printList<T>(items: readonly T[], columns: readonly Column<T>[]): void;
  printOne<T>(object: T, columns: readonly Column<T>[]): void;
  /** What a dry run would do: YAML, unless `-o json`. */
  printPlan(plan: unknown): void;
  /** Later lists of this session are printed with or without their header line. */
  setHeaders(headers: boolean): void;
};

/** The state of one run of the CLI; `last` is kept so that a failure can be explained with the API's help. */
export type Shell = { io: Io; last?: Session; exitCode: number };

/** Said once, however many reads a verb makes. */
function onceStale(say: (text: string) => void): (since: string) => void {
  let said = false;
  return (since) => {
    if (!said) say(`croft: Kubernetes does not answer; this is what was known at ${since}.`);
    said = true;
  };
}

export function openSession(shell: Shell, options: CommonOptions): Session {
  const { io } = shell;
  const connection = resolveConnection(options, io.env);
  const format = parseFormat(options.output ?? 'table');
  const width = io.stdout.isTTY ? (io.stdout.columns ?? 80) : undefined;
  const shape = { columns: options.columns, sort: options.sort, headers: options.headers, width };
  const print = (text: string) => void io.stdout.write(text);
  const say = (text: string) => void io.stderr.write(`${text}\n`);
  const session: Session = {
    io,
    client: createNodeClient(connection, onceStale(say)),
    connection,
    options,
    progress: progressOn(io.stderr),
    project: { project: connection.project },
    print,
    say,
    printList(items, columns) {
      if (items.length === 0 && format.kind === 'table') say('None.');
      print(renderList(items, columns, format, shape));
    },
    printOne: (object, columns) => print(renderOne(object, columns, format, shape)),
    printPlan: (plan) => print(renderOne(plan, [], format.kind === 'table' ? { kind: 'yaml' } : format)),
    setHeaders(headers) {
      shape.headers = headers;
    },
  };
  shell.last = session;
  return session;
}

export type Call<Options> = { args: string[]; options: CommonOptions & Options; session: Session };

/** Lets `command` do `work` with its positional arguments (variadic ones flattened), all options and a session. */
export function onAction<Options = unknown>(
  command: Command,
  shell: Shell,
  work: (call: Call<Options>) => Promise<void>,
): Command {
  return command.action(async () => {
    const options = command.optsWithGlobals<CommonOptions & Options>();
    const args = (command.processedArgs as (string | string[] | undefined)[]).flat().filter((arg) => arg !== undefined);
    await work({ args, options, session: openSession(shell, options) });
  });
}
