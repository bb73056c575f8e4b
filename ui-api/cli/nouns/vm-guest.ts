/** `croft vm guest-info`: what the guest agent says of users and file systems. */
import type { Command } from 'commander';
import type { GuestLists } from '../../client/types.ts';
import { outputOption } from '../options.ts';
import type { Column } from '../output/columns.ts';
import { bytes } from '../output/values.ts';
import { onAction, type Shell } from '../session.ts';

const userColumns: Column<GuestLists['users'][number]>[] = [
  { id: 'user', value: (user) => user.name },
  { id: 'domain', value: (user) => user.domain },
  { id: 'since', value: (user) => user.since },
];

const filesystemColumns: Column<GuestLists['filesystems'][number]>[] = [
  { id: 'mountpoint', value: (one) => one.mountpoint },
  { id: 'disk', value: (one) => one.name },
  { id: 'type', value: (one) => one.type },
  { id: 'used', value: (one) => one.used, text: bytes },
  { id: 'size', value: (one) => one.size, text: bytes },
];

export function addGuestInfo(vm: Command, shell: Shell): void {
  const info = outputOption(
    vm.command('guest-info <vm>').description('signed-in users and file systems, as the guest agent says'),
  );
  onAction(info, shell, async ({ args: [name = ''], options, session }) => {
    const path = `/v1/vms/${encodeURIComponent(name)}/guest`;
    const { body } = await session.client.request<GuestLists>('GET', path, { query: session.project });
    if (options.output && options.output !== 'table') return session.printOne(body, []);
    session.printList(body.users, userColumns);
    session.printList(body.filesystems, filesystemColumns);
  });
}
