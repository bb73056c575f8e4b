/**
 * The one port between API and box (docs/architecture.md, *Privileges*): what a handler may ask of the box beside
 * writing desired state. On the appliance it goes over a socket; solo it is a call.
 */
import type { Duplex } from 'node:stream';

import type { NicCounters } from '../network/driver.ts';
import type { GuestFilesystem, GuestStats, GuestUser } from './vm/hypervisor.ts';

export type VmKey = { name: string; namespace: string };

/** Actions on a running guest that have no desired state to write. */
export type GuestAction = 'pause' | 'unpause' | 'reset' | 'soft-reboot';

/** Why an object isn't as wished: one sentence with numbers, and what to do next. */
export type Explanation = { state: string; sentence: string; next: string[]; evidence: { at?: string; text: string }[] };

/** `nics` as the guest sees them: rx is what it received. */
export type VmStats = VmKey & Omit<GuestStats, 'nics'> & { nics: ({ name: string; ifname?: string } & Partial<NicCounters>)[] };

export interface BoxPort {
  /** @throws CroftError `not-found`, `invalid-state` naming the state that would be right */
  act(vm: VmKey, action: GuestAction): Promise<void>;
  /** @throws CroftError `not-found`, `invalid-state` when the guest does not run */
  openConsole(vm: VmKey, kind: 'serial' | 'vnc'): Promise<Duplex>;
  /** PNG of the guest's screen. @throws as above */
  screenshot(vm: VmKey): Promise<Buffer>;
  explain(vm: VmKey): Promise<Explanation>;
  /** Figures of the guests that run, read now; nothing is read between two calls. */
  stats(): Promise<VmStats[]>;
  /** What the guest agent says of users and file systems. @throws `not-found`, `invalid-state` without guest or agent */
  guestLists(vm: VmKey): Promise<{ users: GuestUser[]; filesystems: GuestFilesystem[] }>;
  /** Bytes of memory that VMs could still be given, and in all. */
  capacity(): Promise<{ memoryFree: number; memoryTotal: number; cpus: number }>;
}
