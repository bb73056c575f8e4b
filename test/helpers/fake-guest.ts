/** A fake guest: a network namespace with a veth whose other end stands where a VM's tap would. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from './eventually.ts';

const execute = promisify(execFile);

/** Runs a program; the answer is its output, or undefined when it failed or took longer than `timeout` ms. */
export async function attempt(argv: readonly string[], timeout = 10_000): Promise<string | undefined> {
  const [file, ...args] = argv as [string, ...string[]];
  try {
    return (await execute(file, args, { timeout, maxBuffer: 64 * 1024 * 1024 })).stdout;
  } catch {
    return undefined; // The failure is the answer: this is how "does not reach" looks.
  }
}

export async function must(argv: readonly string[]): Promise<string> {
  const [file, ...args] = argv as [string, ...string[]];
  return (await execute(file, args, { timeout: 10_000 })).stdout;
}

/** Size of the file that guests fetch from each other: more than a checksum error would let through. */
const payload = 'croft '.repeat(50_000);

export class FakeGuest {
  readonly namespace: string;
  readonly tap: string;
  readonly mac: string;
  #server: ChildProcess | undefined;
  readonly #directory: string;

  constructor(namespace: string, tap: string, mac: string) {
    this.namespace = namespace;
    this.tap = tap;
    this.mac = mac;
    this.#directory = join(tmpdir(), `${namespace}-www`);
  }

  async start(): Promise<void> {
    await must(['ip', 'netns', 'add', this.namespace]);
    await must([
      'ip',
      'link',
      'add',
      this.tap,
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      this.namespace,
      'address',
      this.mac,
    ]);
    await must(['ip', 'link', 'set', this.tap, 'up']);
    await this.run('ip', 'link', 'set', 'lo', 'up');
    await this.run('ip', 'link', 'set', 'eth0', 'up');
    // A veth leaves checksums to a card that the userspace datapath does not have (a guest on our taps computes them).
    await this.run('ethtool', '-K', 'eth0', 'tx', 'off');
    mkdirSync(this.#directory, { recursive: true });
    writeFileSync(join(this.#directory, 'data'), payload);
    this.#server = spawn('ip', ['netns', 'exec', this.namespace, 'busybox', 'httpd', '-f', '-p', '80', '-h', this.#directory]);
  }

  run(...argv: string[]): Promise<string> {
    return must(['ip', 'netns', 'exec', this.namespace, ...argv]);
  }

  attempt(argv: string[], timeout?: number): Promise<string | undefined> {
    return attempt(['ip', 'netns', 'exec', this.namespace, ...argv], timeout);
  }

  async pings(address: string): Promise<boolean> {
    const answer = await this.attempt(['busybox', 'ping', '-c', '1', '-W', '1', address]);
    return answer !== undefined;
  }

  /** TCP with data: ping alone hides wrong checksums. */
  async fetches(address: string): Promise<boolean> {
    // Without -T: Debian 12's static busybox crashes on it.
    const body = await this.attempt(['busybox', 'wget', '-q', '-O', '-', `http://${address}/data`], 4_000);
    return body === payload;
  }

  /** Ping, thrice at most (a lost first packet on a busy machine is not what is looked at), then TCP with data. */
  async reaches(address: string): Promise<boolean> {
    for (let attempt = 1; attempt <= 3; attempt++) {
      if ((await this.pings(address)) && (await this.fetches(address))) return true;
    }
    return false;
  }

  /** Pings five times a second for `seconds`; how many were lost. */
  async losses(address: string, seconds: number): Promise<number> {
    const count = seconds * 5;
    const argv = ['busybox', 'ping', '-i', '0.2', '-W', '2', '-c', String(count), address];
    const output = (await this.attempt(argv, (seconds + 10) * 1000)) ?? '';
    return count - Number(/(\d+) packets received/.exec(output)?.[1] ?? 0);
  }

  /** Asks DHCP as busybox' udhcpc does, and takes the address. */
  async askDhcp(): Promise<string> {
    const script = join(this.#directory, 'udhcpc.sh');
    writeFileSync(
      script,
      `#!/bin/sh\n[ "$1" = bound ] || exit 0\nip addr flush dev eth0 scope global\nip addr add $ip/$mask dev eth0\nfor r in $router; do ip route add default via $r; done\n` +
        `echo "$ip|$router|$dns|$domain" > ${join(this.#directory, 'lease')}\n`,
      { mode: 0o755 },
    );
    await this.run('busybox', 'udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', '5', '-T', '1', '-s', script);
    return (await must(['cat', join(this.#directory, 'lease')])).trim();
  }

  async stop(): Promise<void> {
    this.#server?.kill('SIGKILL');
    await eventually(() => this.#server === undefined || this.#server.exitCode !== null || this.#server.signalCode !== null);
    await attempt(['ip', 'link', 'delete', this.tap]);
    await attempt(['ip', 'netns', 'delete', this.namespace]);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
