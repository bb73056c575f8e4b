/** `croft node certificate`, `set-certificate`, `reset-certificate`; and `croft node nics`. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Certificate } from '../../client/types.ts';
import { usageError } from '../exit.ts';
import { listOptions, outputOption, yesOption } from '../options.ts';
import { certificateColumns, nicColumns } from '../output/columns.ts';
import { confirm } from '../prompt.ts';
import { onAction, type Shell } from '../session.ts';

const path = '/v1/node/certificate';

const readPem = (file: string): Promise<string> =>
  readFile(file, 'utf8').catch((error: Error) => {
    throw usageError(`${file} cannot be read: ${error.message}`);
  });

export function registerCertificate(node: Command, shell: Shell): void {
  const show = outputOption(node.command('certificate').description('the TLS certificate of the box'));
  onAction(show, shell, async ({ session }) => {
    const { body } = await session.client.request<Certificate>('GET', path);
    session.printOne(body, certificateColumns);
  });

  const set = node
    .command('set-certificate <cert> <key>')
    .description('serve an own certificate: PEM files, the chain behind it');
  onAction(set, shell, async ({ args: [cert = '', key = ''], session }) => {
    const body = { cert: await readPem(cert), key: await readPem(key) };
    const { body: now } = await session.client.request<Certificate>('PUT', path, { body });
    session.say(`The box shows the certificate ${now.fingerprint} from now on.`);
  });

  const reset = yesOption(node.command('reset-certificate').description('make and serve a new self-signed one'));
  onAction<{ yes?: boolean }>(reset, shell, async ({ options, session }) => {
    await confirm(session.io, 'Browsers will warn of the new certificate until somebody trusts it.', options.yes);
    const { body: now } = await session.client.request<Certificate>('DELETE', path);
    session.say(`The box shows the certificate ${now.fingerprint} from now on.`);
  });

  const nics = listOptions(node.command('nics').description('network devices that uplinks can be made of'));
  onAction(nics, shell, async ({ session }) => {
    session.printList(await session.client.nics.list({}, session.io.signal), nicColumns);
  });
}
