/** `croft api METHOD PATH`: the API itself, signed in. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { usageError } from '../exit.ts';
import { readAll } from '../io.ts';
import { collectLabel, outputOption } from '../options.ts';
import { onAction, type Shell } from '../session.ts';

type ApiOptions = { data?: string; header?: Record<string, string> };

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD'];

export function register(program: Command, shell: Shell): void {
  const api = program
    .command('api <method> [path]')
    .description('send a request to the API; prints the answer as JSON')
    .option('-d, --data <json>', 'body; @FILE reads a file, - standard input')
    .option('-H, --header <name=value>', 'header; may be repeated', collectLabel);
  onAction<ApiOptions>(outputOption(api), shell, async ({ args, options, session }) => {
    const [first = '', second] = args;
    const method = second === undefined ? 'GET' : first.toUpperCase();
    const path = second ?? first;
    if (!methods.includes(method)) throw usageError(`${JSON.stringify(first)} is not a method.`, `Use ${methods.join(', ')}.`);
    if (!path.startsWith('/')) throw usageError(`The path must begin with /, e.g. /v1/vms; this is ${JSON.stringify(path)}.`);
    const data = options.data === undefined ? undefined : await readData(options.data, session.io.stdin);
    // As in the CLI's other verbs: whatever it is now, unless a version is given.
    const ifMatch = ['PUT', 'PATCH', 'DELETE'].includes(method) ? '*' : undefined;
    const { body } = await session.client.request(method, path, {
      body: data === undefined ? undefined : new TextEncoder().encode(data),
      contentType: method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
      ifMatch,
      headers: lowerCase(options.header ?? {}),
    });
    if (body === undefined) return;
    if (typeof body === 'string') session.print(body.endsWith('\n') ? body : `${body}\n`);
    else if (options.output) session.printOne(body, []);
    else session.print(`${JSON.stringify(body, undefined, 2)}\n`);
  });
}

const lowerCase = (headers: Record<string, string>) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

async function readData(text: string, stdin: NodeJS.ReadableStream): Promise<string> {
  if (text === '-') return readAll(stdin);
  if (!text.startsWith('@')) return text;
  try {
    return await readFile(text.slice(1), 'utf8');
  } catch (error) {
    throw usageError(`--data: ${text.slice(1)} cannot be read: ${(error as Error).message}`);
  }
}
