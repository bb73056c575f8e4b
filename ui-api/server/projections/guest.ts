/** The guest agent's lists → `/v1`. Pure. */
import type { BoxPort } from '../../../appliance/ports.ts';
import type { GuestLists } from '../../schemas/guest.ts';
import { compact } from './common.ts';

export const projectGuestLists = ({ users, filesystems }: Awaited<ReturnType<BoxPort['guestLists']>>): GuestLists => ({
  kind: 'guest',
  users: users.map(({ name, domain, loginTime }) =>
    compact({ name, domain, since: new Date(Math.min(Math.max(0, loginTime), 8e12) * 1000).toISOString() }),
  ),
  filesystems: filesystems.map(({ name, mountpoint, type, usedBytes, totalBytes }) =>
    compact({ name, mountpoint, type, used: usedBytes, size: totalBytes }),
  ),
});
