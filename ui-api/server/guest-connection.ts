/** TCP into a guest, from the box: for port forwarding. */
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Duplex } from 'node:stream';
import { CroftError } from '../../appliance/errors.ts';
import { isLoopback } from '../../appliance/host/loopback.ts';
import { virtualMachineInstance } from '../../appliance/resources/virtual-machine.ts';
import { mustGet } from '../../appliance/store/edit.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';

/** ms until a guest takes a connection. */
const connectDeadline = 10_000;

/** A guest says its own addresses, by its agent: one that says the box's would have us connect to ourselves. */
export function refuseOwn(name: string, address: string, links = networkInterfaces()): void {
  const own = Object.values(links).flatMap((entries) => (entries ?? []).map((entry) => entry.address));
  const plain = address.replace(/^::ffff:/i, '');
  if (!isLoopback(plain) && !own.includes(plain) && !/^(0\.|169\.254\.|::$)/.test(plain)) return;
  throw new CroftError(
    'invalid-state',
    `VM ${name} says that its address is ${address}, which is the box's own; that is refused.`,
  );
}

/** @throws CroftError `invalid-state` without an address, `unavailable` when nothing answers there */
export async function connectGuest(
  store: ResourceStore,
  { name, namespace }: { name: string; namespace: string },
  port: number,
): Promise<Duplex> {
  const instance = await mustGet(store, virtualMachineInstance, name, namespace);
  const address = instance.status?.interfaces?.find(({ ipAddress }) => ipAddress !== undefined)?.ipAddress;
  if (address === undefined) throw new CroftError('invalid-state', `VM ${name} has no address yet.`);
  refuseOwn(name, address);
  const socket = connect({ host: address, port });
  socket.setTimeout(connectDeadline, () => socket.destroy(new Error(`no answer for ${connectDeadline / 1000} s`)));
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
  } catch (cause) {
    throw new CroftError('unavailable', `${address}:${port} of VM ${name} takes no connection.`, { cause });
  }
  socket.setTimeout(0);
  return socket;
}
