/** `croft version`. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { Unreachable } from '../../client/problem.ts';
import { outputOption } from '../options.ts';
import { onAction, type Shell } from '../session.ts';

type Versions = { client: string; server?: string; features?: string[] };

const ownVersion = (): string => {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
  return version;
};

export function register(program: Command, shell: Shell): void {
  const version = outputOption(program.command('version').description('versions of this CLI and of the API'));
  onAction(version, shell, async ({ options, session }) => {
    const versions: Versions = { client: ownVersion() };
    try {
      const { body } = await session.client.request<{ version?: string; features?: string[] }>('GET', '/v1/version');
      versions.server = body.version;
      versions.features = body.features;
    } catch (error) {
      // Asking for our own version must work without an API.
      if (!(error instanceof Unreachable)) throw error;
    }
    if (options.output && options.output !== 'table') return session.printOne(versions, []);
    session.print(`client ${versions.client}\nserver ${versions.server ?? 'not reached'}\n`);
  });
}
