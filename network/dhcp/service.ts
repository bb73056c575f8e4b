/** What the network engine asks of a network's DHCP server: dnsmasq (server.ts), or the simulated one (network/sim.ts). */
import type { Reservation } from './addresses.ts';
import type { DhcpNetwork } from './config.ts';
import type { Lease } from './leases.ts';

export interface DhcpService {
  readonly leases: readonly Lease[];
  /** By tap. */
  readonly assigned: ReadonlyMap<string, Reservation>;
  /** Reads back what earlier runs gave out; before the first assignment. */
  load(): Promise<void>;
  /** Serves the network as it is now. @throws CroftError `missing-component`, `unavailable` */
  ensure(network: DhcpNetwork, reservations: readonly Reservation[], legIndex: number): Promise<void>;
  /** Gives a NIC its address. Idempotent. */
  assign(tap: string, given: Reservation): Promise<void>;
  /** Takes it back. Idempotent. */
  forget(tap: string): Promise<void>;
  stop(): Promise<void>;
  /** Lets go of it; it serves on. */
  release(): void;
  /** Stops it and removes its files, leases included. */
  remove(): Promise<void>;
}
