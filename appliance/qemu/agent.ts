/**
 * The QEMU guest agent, over its virtio-serial channel (QEMU's docs/interop/qemu-ga-ref). The agent is software
 * of a guest that may be hostile: every exchange is one connection with a deadline and a bounded answer, begun
 * with guest-sync-delimited so that leftovers of a broken exchange aren't taken for an answer. The channel
 * serves one client, so exchanges queue.
 */
import { randomInt } from 'node:crypto';
import { connect } from 'node:net';
import { CroftError } from '../errors.ts';
import type { GuestAgentInfo, GuestFilesystem, GuestUser } from '../vm/hypervisor.ts';

const maxAnswer = 1024 * 1024;
const delimiter = 0xff;

type Answer = { return?: unknown; error?: { desc?: string } };

export class GuestAgent {
  readonly #path: string;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  /** One command; `timeout` in ms. @throws CroftError `command-timeout`, `qmp-failed` (the agent refused), `unavailable` */
  call<T>(execute: string, args?: Record<string, unknown>, timeout = 3_000): Promise<T> {
    const result = this.#tail.then(() => exchange(this.#path, execute, args, timeout));
    this.#tail = result.catch(() => undefined); // The caller gets the failure; the queue only needs the order.
    return result as Promise<T>;
  }

  /** What the guest says of itself; commands that its agent doesn't know leave their part out. @throws as call */
  async info(): Promise<GuestAgentInfo> {
    const interfaces = await this.call<unknown>('guest-network-get-interfaces');
    const optional = (command: string) => this.call<Record<string, unknown>>(command).catch(() => undefined);
    const os = await optional('guest-get-osinfo');
    const host = await optional('guest-get-host-name');
    return { hostname: text(host?.['host-name']), os: osOf(os), interfaces: interfacesOf(interfaces) };
  }

  /** Users and file systems; a command that the agent doesn't know gives none. @throws as call */
  async lists(): Promise<{ users: GuestUser[]; filesystems: GuestFilesystem[] }> {
    await this.call('guest-ping');
    const optional = (command: string) => this.call<unknown>(command).catch(() => undefined);
    return {
      users: usersOf(await optional('guest-get-users')),
      filesystems: filesystemsOf(await optional('guest-get-fsinfo')),
    };
  }
}

const maxUsers = 256;
const maxFilesystems = 256;

const number = (value: unknown): number | undefined => (typeof value === 'number' && Number.isFinite(value) ? value : undefined);
const records = (value: unknown, limit: number): Record<string, unknown>[] =>
  Array.isArray(value) ? value.slice(0, limit).filter((one) => typeof one === 'object' && one !== null) : [];

/** guest-get-users: only what has the documented shape. Pure. */
export const usersOf = (answer: unknown): GuestUser[] =>
  records(answer, maxUsers).flatMap((entry) => {
    const name = text(entry.user);
    const domain = text(entry.domain);
    if (name === undefined) return [];
    return [{ name, ...(domain === undefined ? {} : { domain }), loginTime: number(entry['login-time']) ?? 0 }];
  });

/** guest-get-fsinfo. Pure. */
export const filesystemsOf = (answer: unknown): GuestFilesystem[] =>
  records(answer, maxFilesystems).flatMap((entry) => {
    const [name, mountpoint, type] = [text(entry.name), text(entry.mountpoint), text(entry.type)];
    if (name === undefined || mountpoint === undefined || type === undefined) return [];
    const usedBytes = number(entry['used-bytes']);
    const totalBytes = number(entry['total-bytes']);
    return [
      {
        name,
        mountpoint,
        type,
        ...(usedBytes === undefined ? {} : { usedBytes }),
        ...(totalBytes === undefined ? {} : { totalBytes }),
      },
    ];
  });

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value.slice(0, 255) : undefined);

function osOf(os: Record<string, unknown> | undefined): GuestAgentInfo['os'] {
  if (!os) return undefined;
  return {
    name: text(os.name),
    prettyName: text(os['pretty-name']),
    version: text(os.version),
    id: text(os.id),
    kernelRelease: text(os['kernel-release']),
  };
}

/** Only what has the documented shape, and no more than a guest can reasonably have. */
export function interfacesOf(answer: unknown): GuestAgentInfo['interfaces'] {
  if (!Array.isArray(answer)) return [];
  return (answer as Record<string, unknown>[]).slice(0, 64).flatMap((entry) => {
    const name = text(entry?.name);
    if (name === undefined) return [];
    const list = Array.isArray(entry['ip-addresses']) ? (entry['ip-addresses'] as Record<string, unknown>[]) : [];
    const addresses = list.slice(0, 64).flatMap((address) => text(address?.['ip-address']) ?? []);
    return [{ name, mac: text(entry['hardware-address'])?.toLowerCase(), addresses }];
  });
}

function exchange(path: string, execute: string, args: Record<string, unknown> | undefined, timeout: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const id = randomInt(1, 2 ** 31);
    let received = Buffer.alloc(0);
    let synced = false;
    const finish = (error: CroftError | undefined, value?: unknown) => {
      clearTimeout(timer);
      socket.destroy();
      if (error) reject(error);
      else resolve(value);
    };
    const timer = setTimeout(
      () => finish(new CroftError('command-timeout', `The guest agent did not answer ${execute} within ${timeout} ms.`)),
      timeout,
    );
    const send = (command: string, parameters?: Record<string, unknown>) =>
      socket.write(`${JSON.stringify({ execute: command, ...(parameters ? { arguments: parameters } : {}) })}\n`);
    socket.on('error', (cause) => finish(new CroftError('unavailable', 'The channel to the guest agent is closed.', { cause })));
    socket.on('close', () => finish(new CroftError('unavailable', 'The channel to the guest agent was closed.')));
    socket.on('connect', () => {
      socket.write(Buffer.from([delimiter]));
      send('guest-sync-delimited', { id });
    });
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length > maxAnswer)
        finish(new CroftError('qmp-failed', `The guest agent's answer to ${execute} is too long.`));
      if (!synced) {
        const start = received.lastIndexOf(delimiter);
        if (start < 0 || !received.includes(10, start)) return;
        const answer = parse(received.subarray(start + 1));
        received = Buffer.alloc(0);
        if (answer?.return !== id) return;
        synced = true;
        send(execute, args);
        return;
      }
      const end = received.indexOf(10);
      if (end < 0) return;
      const answer = parse(received.subarray(0, end));
      if (answer?.error || !answer)
        finish(new CroftError('qmp-failed', `The guest agent refused ${execute}: ${text(answer?.error?.desc) ?? 'no JSON'}.`));
      else finish(undefined, answer.return);
    });
  });
}

function parse(line: Buffer): Answer | undefined {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Answer) : undefined;
  } catch {
    return undefined;
  }
}
