/**
 * What a migration asks of QEMU, on either side (docs/interop and qapi/migration.json of QEMU 7.2 to 10). The stream goes
 * through TLS in both directions' names: either side trusts the one certificate that the other published for this migration.
 */
import { chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isCroftError } from '../../errors.ts';
import type { Guest } from '../hypervisor.ts';
import type { OutgoingState } from './protocol.ts';

export type Owner = { uid: number; gid: number } | undefined;
export type KeyPair = { key: string; cert: string };

const tlsId = 'tls-migration';
/** Guests' memory goes as fast as the network takes it. */
const maxBandwidth = 10 * 2 ** 30;
/** ms that the guest may stand still, as QEMU reckons it before the last step. */
const downtimeLimit = 50;

/** Puts a side's key and both certificates where its QEMU alone reads them. */
export async function writeTls(
  directory: string,
  side: 'client' | 'server',
  own: KeyPair,
  peer: string,
  owner: Owner,
): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const files = { 'ca-cert.pem': peer, [`${side}-cert.pem`]: own.cert, [`${side}-key.pem`]: own.key };
  for (const [name, content] of Object.entries(files)) {
    const path = join(directory, name);
    await writeFile(path, content, { mode: 0o400 });
    if (owner) await chown(path, owner.uid, owner.gid);
  }
  if (owner) await chown(directory, owner.uid, owner.gid);
}

async function useTls(guest: Guest, endpoint: 'client' | 'server', dir: string): Promise<void> {
  await guest.qmp('object-del', { id: tlsId }).catch((error: unknown) => {
    if (!isCroftError(error, 'qmp-failed')) throw error; // There is none of an earlier try.
  });
  // The peer's certificate itself is what is trusted; a check that it could be a CA's would refuse it.
  await guest.qmp('object-add', {
    'qom-type': 'tls-creds-x509',
    id: tlsId,
    endpoint,
    dir,
    'verify-peer': true,
    'sanity-check': false,
  });
}

const capabilities = ['pause-before-switchover', 'auto-converge', 'events'];

async function setUp(guest: Guest): Promise<void> {
  await guest.qmp('migrate-set-capabilities', {
    capabilities: capabilities.map((capability) => ({ capability, state: true })),
  });
}

/** Begins to listen. @returns the port. @throws CroftError `qmp-failed` */
export async function listen(guest: Guest, address: string, tlsDirectory: string): Promise<number> {
  const before = await incomingPort(guest);
  if (before !== undefined) return before;
  await setUp(guest);
  await useTls(guest, 'server', tlsDirectory);
  await guest.qmp('migrate-set-parameters', { 'tls-creds': tlsId });
  await guest.qmp('migrate-incoming', { uri: `tcp:${address}:0` });
  const port = await incomingPort(guest);
  if (port === undefined) throw new Error('QEMU listens for a guest and does not say where');
  return port;
}

type Addresses = { 'socket-address'?: { type: string; port?: string }[] };

async function incomingPort(guest: Guest): Promise<number | undefined> {
  const { 'socket-address': addresses } = await guest.qmp<Addresses>('query-migrate');
  const port = addresses?.find(({ type }) => type === 'inet')?.port;
  return port === undefined ? undefined : Number(port);
}

/** Begins to send. `name`: what the target's certificate is made out to. */
export async function send(
  guest: Guest,
  target: { address: string; port: number; name: string; tlsDirectory: string },
): Promise<void> {
  await setUp(guest);
  await useTls(guest, 'client', target.tlsDirectory);
  await guest.qmp('migrate-set-parameters', {
    'tls-creds': tlsId,
    'tls-hostname': target.name,
    'max-bandwidth': maxBandwidth,
    'downtime-limit': downtimeLimit,
  });
  await guest.qmp('migrate', { uri: `tcp:${target.address}:${target.port}` });
}

type MigrationInfo = {
  status?: string;
  'error-desc'?: string;
  downtime?: number;
  'total-time'?: number;
  ram?: {
    total: number;
    remaining: number;
    transferred: number;
    'dirty-pages-rate'?: number;
    'page-size'?: number;
    mbps?: number;
  };
};

export type SendingState = {
  migration: OutgoingState;
  running: boolean;
  error?: string;
  /** 0 to 1. */
  progress?: number;
  /** Bytes a second. */
  dirtyRate?: number;
  remaining?: number;
  etaSeconds?: number;
  /** ms, from QEMU. */
  downtime?: number;
  total?: number;
};

const outgoing: Record<string, OutgoingState> = {
  setup: 'setup',
  active: 'active',
  'pre-switchover': 'pre-switchover',
  device: 'device',
  'wait-unplug': 'setup',
  completed: 'completed',
  failed: 'failed',
  cancelling: 'cancelling',
  cancelled: 'cancelled',
};

/** Of the side that has the guest. @throws CroftError when QEMU doesn't answer */
export async function sendingState(guest: Guest): Promise<SendingState> {
  const [info, { status }] = await Promise.all([
    guest.qmp<MigrationInfo>('query-migrate'),
    guest.qmp<{ status: string }>('query-status'),
  ]);
  const { ram } = info;
  const state: SendingState = { migration: outgoing[info.status ?? ''] ?? 'none', running: status === 'running' };
  if (info['error-desc'] !== undefined) state.error = info['error-desc'];
  if (info.downtime !== undefined) state.downtime = info.downtime;
  if (info['total-time'] !== undefined) state.total = info['total-time'];
  if (!ram || ram.total === 0) return state;
  state.remaining = ram.remaining;
  state.progress = Math.min(0.99, 1 - ram.remaining / ram.total);
  state.dirtyRate = (ram['dirty-pages-rate'] ?? 0) * (ram['page-size'] ?? 4096);
  const net = ((ram.mbps ?? 0) * 1_000_000) / 8 - state.dirtyRate;
  if (net > 0) state.etaSeconds = Math.ceil(ram.remaining / net);
  return state;
}

/** Of the side that waits for it. `inmigrate`: not all has come. */
export async function receivingState(
  guest: Guest,
): Promise<{ running: boolean; incoming: 'listening' | 'active' | 'completed' }> {
  const [info, { status }] = await Promise.all([
    guest.qmp<MigrationInfo>('query-migrate'),
    guest.qmp<{ status: string }>('query-status'),
  ]);
  const completed = info.status === 'completed' && status !== 'inmigrate';
  const incoming = completed || status === 'running' ? 'completed' : info.status === 'active' ? 'active' : 'listening';
  return { running: status === 'running', incoming };
}

export const goOn = (guest: Guest): Promise<unknown> => guest.qmp('migrate-continue', { state: 'pre-switchover' });
export const cancelSending = (guest: Guest): Promise<unknown> => guest.qmp('migrate_cancel');

/** The vCPUs run; then the network is told where the guest's addresses are. */
export async function takeOver(guest: Guest): Promise<void> {
  await guest.resume();
  await guest.qmp('announce-self', { initial: 20, max: 550, rounds: 6, step: 100 });
}
