/** `croft node backup` and `croft node restore`: everything a box knows, in one encrypted file. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { isCroftError, type CroftError } from '../../../appliance/errors.ts';
import { writeFileAtomic } from '../../../appliance/host/files.ts';
import type { NodeBackup } from '../../client/types.ts';
import { CliError, exitCodes, usageError } from '../exit.ts';
import { readAll, type Io } from '../io.ts';
import { askHidden } from '../prompt.ts';
import { onAction, type Shell } from '../session.ts';

type PassphraseOptions = { passphraseFile?: string; passphraseStdin?: boolean };

const passphraseOptions = (command: Command): Command =>
  command
    .option('--passphrase-file <file>', 'first line of a file is the passphrase')
    .option('--passphrase-stdin', 'first line of standard input is the passphrase');

/** From a file, standard input or the terminal; never from the command line, which every user of the machine can read. */
async function passphraseOf(io: Io, options: PassphraseOptions, twice: boolean): Promise<string> {
  const { passphraseFile: file, passphraseStdin } = options;
  const instead = 'Give --passphrase-file FILE or --passphrase-stdin.';
  const firstLine = (text: string): string => text.split(/\r?\n/)[0] ?? '';
  if (file !== undefined && passphraseStdin) throw usageError('Give either --passphrase-file or --passphrase-stdin.');
  if (file !== undefined) return firstLine(await readFile(file, 'utf8'));
  if (passphraseStdin) return firstLine(await readAll(io.stdin));
  const passphrase = await askHidden(io, 'Passphrase of the backup:', instead);
  if (twice && (await askHidden(io, 'Again:', instead)) !== passphrase) throw usageError('The two passphrases differ.');
  return passphrase;
}

function addBackup(node: Command, shell: Shell): void {
  const backup = passphraseOptions(
    node.command('backup <file>').description('everything but the disks, into one encrypted file'),
  );
  onAction<PassphraseOptions>(backup, shell, async ({ args: [file = ''], options, session }) => {
    const passphrase = await passphraseOf(session.io, options, true);
    const { body } = await session.client.request<NodeBackup>('POST', '/v1/node/backup', { body: { passphrase } });
    await writeFileAtomic(file, Buffer.from(body.file, 'base64'), 0o600);
    session.say(`${file} holds ${body.objects} objects and ${body.files} key files of ${body.createdAt}. It has no disks.`);
    session.say('Keep the passphrase: without it nobody can read the file.');
  });
}

/** This verb does its work here, not through the API: its failures get the exit codes of the API's. */
const exitOf = ({ status }: CroftError): number =>
  status === 409 ? exitCodes.conflict : status === 400 ? exitCodes.usage : exitCodes.failed;

function addRestore(node: Command, shell: Shell): void {
  const restore = passphraseOptions(
    node
      .command('restore <file>')
      .description('make this box the one of a backup; the service and all guests must be stopped')
      .option('--force <words>', "'replace this box': also when it isn't empty"),
  );
  onAction<PassphraseOptions & { force?: string }>(restore, shell, async ({ args: [file = ''], options, session }) => {
    const { io } = session;
    if (options.host ?? options.context) throw usageError('A restore is done on the box itself, as root.');
    const content = await readFile(file).catch((error: Error) => {
      throw usageError(`${file} cannot be read: ${error.message}`);
    });
    // Loaded only here: the CLI otherwise has nothing to do with the box's files.
    const [{ loadConfig }, { restoreBackup }] = await Promise.all([
      import('../../../appliance/config.ts'),
      import('../../../appliance/node/restore.ts'),
    ]);
    const passphrase = await passphraseOf(io, options, false);
    const wish = { file: content, passphrase, force: options.force };
    const { facts, replaced } = await restoreBackup(loadConfig({}, io.env), wish).catch((error: unknown) => {
      throw isCroftError(error) ? new CliError(exitOf(error), error.message, error.fix) : error;
    });
    session.say(`This box is now the one of ${facts.createdAt}, with ${facts.objects} objects. Start the service.`);
    session.say('Images are fetched again; disks were not in the backup: VMs wait until theirs are back in the pool.');
    if (replaced !== undefined) session.say(`The box it replaced is kept in ${replaced}; delete that when nothing is missed.`);
  });
}

export function registerBackup(node: Command, shell: Shell): void {
  addBackup(node, shell);
  addRestore(node, shell);
}
