/** `croft node`: this box, and the others of its cluster. */
import type { Command } from 'commander';
import type { Node } from '../../client/types.ts';
import { listOptions, outputOption } from '../options.ts';
import { nodeColumns, nodeListColumns } from '../output/columns.ts';
import { onAction, type Shell } from '../session.ts';
import { registerBackup } from './node-backup.ts';
import { registerCertificate } from './node-certificate.ts';
import { registerUpdates } from './node-update.ts';
import { addBalance, addLosses, addMaintenance } from './node-maintenance.ts';

export function register(program: Command, shell: Shell): void {
  const node = program.command('node').description('the boxes');
  const list = listOptions(node.command('list').alias('ls').description('the boxes of the cluster'));
  onAction(list, shell, async ({ session }) => {
    const { body } = await session.client.request<{ items: Node[] }>('GET', '/v1/nodes');
    session.printList(body.items, nodeListColumns);
  });
  const show = outputOption(node.command('show').description('state, versions and components of the box'));
  registerBackup(node, shell);
  addMaintenance(node, shell);
  registerCertificate(node, shell);
  registerUpdates(node, shell);
  addBalance(node, shell);
  addLosses(node, shell);
  onAction(show, shell, async ({ options, session }) => {
    const { body } = await session.client.request<Node>('GET', '/v1/node');
    session.printOne(body, nodeColumns);
    if (options.output && options.output !== 'table') return;
    for (const { name, version, state, message } of body.components ?? []) {
      session.print(`  ${name}${version ? ` ${version}` : ''}: ${state}${message ? `, ${message}` : ''}\n`);
    }
  });
}
