/**
 * Persistent taps: made by root, opened by name by the VM's own unprivileged user. They stay when QEMU or
 * croftd go, so a guest's network outlives both. Whether they carry virtio headers is decided anew by whoever
 * opens them (TUNSETIFF), so it is no property to compare here: a tap made anew under a running guest would
 * leave that guest's end hanging in the air.
 */
import { CroftError, isCroftError } from '../appliance/errors.ts';
import { ipBatch, listTaps, type Link } from './links.ts';

export type TapWish = { name: string; user: number | undefined; mtu: number; up: boolean };

/** Only names that Croft gives to taps (resources/identity.ts). */
const ourTap = /^ct[0-9a-f]{10}n\d+$/;
export const isOurTap = (name: string): boolean => ourTap.test(name);

/** The `ip` commands from what is there to the wish; none where nothing differs. Pure. */
export function planTap(found: Link | undefined, wish: TapWish): string[][] {
  const commands: string[][] = [];
  const reuse = found?.tap !== undefined && found.tap.user === wish.user;
  if (!reuse) {
    if (found) commands.push(['link', 'delete', 'dev', wish.name]);
    const user = wish.user === undefined ? [] : ['user', String(wish.user)];
    commands.push(['tuntap', 'add', 'dev', wish.name, 'mode', 'tap', ...user]);
    // The box itself has no business on a guest's wire: no link-local address, no neighbour discovery.
    commands.push(['link', 'set', 'dev', wish.name, 'addrgenmode', 'none']);
  }
  if (!reuse || found.mtu !== wish.mtu || found.up !== wish.up) {
    commands.push(['link', 'set', 'dev', wish.name, 'mtu', String(wish.mtu), wish.up ? 'up' : 'down']);
  }
  return commands;
}

/** Makes the tap as wished. Idempotent. @throws CroftError `in-use` when the name is no tap, `command-failed` */
export async function ensureTap(wish: TapWish): Promise<void> {
  const found = (await listTaps()).find((link) => link.name === wish.name);
  if (found && !found.tap) throw new CroftError('in-use', `The network device ${wish.name} exists and is not a tap.`);
  await ipBatch(planTap(found, wish));
}

/** Removes taps of Croft's by name, in one call. Idempotent. @throws CroftError `command-failed` when one stays */
export async function deleteTaps(names: readonly string[]): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const present = new Set((await listTaps()).map((link) => link.name));
    const left = names.filter((name) => isOurTap(name) && present.has(name));
    try {
      return await ipBatch(left.map((name) => ['link', 'delete', 'dev', name]));
    } catch (error) {
      // One may have gone between the look and the call, and the batch stopped there.
      if (!isCroftError(error) || attempt === 3) throw error;
    }
  }
}
