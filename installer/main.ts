/**
 * The installer's commands on a live or installed appliance, run by the units in installer/units:
 * `install` (unattended, from answers), `install-asking`, `health`, `commit`, `roll-back`, `update-from-medium`,
 * `prepare-kubernetes`, `await-kubernetes`. What they say goes to the console.
 */
import { readFile } from 'node:fs/promises';
import { CroftError, isCroftError, messageOf } from '../appliance/errors.ts';
import { awaitReady, checkHealth, commitRunning, leaveRunning } from './health.ts';

const say =
  (who: string) =>
  (line: string): void =>
    void process.stdout.write(`${who}: ${line}\n`);

const commands: Record<string, (commandLine: string) => Promise<void>> = {
  install: async (commandLine) => {
    // Loaded only here: the schemas it brings would slow each start of an installed system.
    const { install } = await import('./install.ts');
    await install(commandLine, say('croft-install'));
  },
  'install-asking': async () => (await import('./install.ts')).installAsking(say('croft-install')),
  health: async () => {
    await checkHealth();
    say('croft-health')('healthy');
  },
  commit: async (commandLine) => say('croft-commit')(`slot ${await commitRunning(commandLine)} committed`),
  'update-from-medium': async (commandLine) =>
    (await import('./update/medium.ts')).updateFromMedium(commandLine, say('croft-update')),
  'prepare-kubernetes': async () => (await import('./kubernetes.ts')).prepareKubernetes(),
  'await-kubernetes': () => awaitReady('127.0.0.1', 6443),
  'roll-back': async (commandLine) => {
    const what = await leaveRunning(commandLine);
    say('croft-rollback')(
      what === 'restarting' ? 'not healthy: back to the committed slot' : 'this is the committed slot: staying',
    );
  },
};

const name = process.argv[2] ?? '';
const command = commands[name];
try {
  if (!command)
    throw new CroftError(
      'invalid-input',
      `${JSON.stringify(name)} is no command; there are ${Object.keys(commands).join(', ')}.`,
    );
  await command(await readFile('/proc/cmdline', 'utf8'));
} catch (error) {
  process.stderr.write(`croft-${name}: failed: ${messageOf(error)}\n`);
  if (isCroftError(error)) for (const fix of error.fix) process.stderr.write(`croft-${name}: ${fix}\n`);
  else process.stderr.write(`${(error as Error).stack ?? ''}\n`);
  process.exitCode = 1;
}
