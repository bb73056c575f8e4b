/**
 * The one entry point, run by bin/croft: box-local verbs here, everything else is the CLI's.
 * Each verb imports what it needs when it runs, so that `croft vm list` doesn't pay for the service.
 */
import { loadConfig } from './config.ts';
import { catalogue, isCroftError, messageOf } from './errors.ts';

type Verb = (args: string[]) => Promise<number>;

const boxVerbs: Record<string, Verb> = {
  start: async (args) => (await import('./start.ts')).start(args),
  serve: async (args) => (await import('./start.ts')).serve(args),
  'serve-box': async (args) => (await import('./start.ts')).serveBox(args),
  'serve-api': async () => (await import('./start.ts')).serveApi(),
  dev: async (args) => (await import('./start.ts')).dev(args),
  demo: async (args) => (await import('./demo/demo.ts')).demo(args),
  k3s: async (args) => (await import('./cluster/k3s-command.ts')).k3sCommand(args, await fetcher()),
  // Installed appliances only.
  update: async (args) => (await import('../installer/update/command.ts')).updateCommand(args),
  uninstall: async (args) => (await import('./install/uninstall.ts')).uninstallCommand(args, loadConfig()),
};

/** Two words, of nouns whose other verbs are the CLI's. */
const boxNouns: Record<string, Verb> = {
  'pxe serve': async (args) => (await import('../installer/pxe/command.ts')).pxeCommand(args),
  'cluster join': async (args) => (await import('./cluster/join/command.ts')).joinCommand(args, loadConfig()),
  'node join-token': async (args) => (await import('./cluster/join/command.ts')).joinTokenCommand(args, loadConfig()),
};

/** Known to no other part of the appliance than the assembly. */
const fetcher = async () => (await import('../storage/images/fetch.ts')).fetchFile;

async function main(argv: string[]): Promise<number> {
  const noun = boxNouns[argv.slice(0, 2).join(' ')];
  if (noun) return noun(argv.slice(2));
  const verb = boxVerbs[argv[0] ?? ''];
  if (verb) return verb(argv.slice(1));
  const cli = await import('../ui-api/cli/main.ts');
  return cli.main(argv);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`croft: ${messageOf(error)}\n`);
  if (isCroftError(error))
    process.stderr.write(`${error.fix.join('\n')}\ncode: ${error.code} (${catalogue[error.code].title})\n`);
  else process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`);
  process.exitCode = isCroftError(error, 'invalid-input') ? 2 : 1;
}
