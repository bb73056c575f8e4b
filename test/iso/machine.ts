/**
 * A machine of the installation tests: QEMU without KVM, its serial port on a unix socket, `expect` over it.
 * Text that means it went wrong fails a wait at once instead of at its deadline. Nothing here reaches a network.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, readFileSync, type WriteStream } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { eventually } from '../helpers/eventually.ts';

export type Firmware = 'bios' | 'secure-boot';
export type MachineOptions = {
  firmware: Firmware;
  /** Raw image of the system disk; it is the first boot device. */
  disk: string;
  /** Serial number of that disk. */
  serial?: string;
  /** Raw images of more disks; the file's name without its ending is the serial number. */
  dataDisks?: string[];
  /** Installation medium, the second boot device. */
  cd?: string;
  /** MiB. */
  memory?: number;
  /** A network card, whose API is reached at this port of loopback; nothing goes out. Without it there is no card. */
  apiPort?: number;
  /** A tap in a network namespace; the machine starts over this network first, then from its disk. */
  network?: { namespace: string; tap: string; mac: string };
  /** Where the serial port's transcript is kept. */
  log?: string;
};

/** Never right in any of these tests unless one of them says so. */
const badTexts = [
  /\(initramfs\)/,
  /Kernel panic/,
  // A live system's root lies on its medium, so that one is still in use when it goes down.
  /\[FAILED\](?! Failed unmounting run-live)/,
  /: failed: .*/,
  /Unable to find a medium/,
  /emergency mode/,
  /No bootable device/,
  /Security Violation|bad shim signature|Access Denied/i,
];

/** How much slower than an idle machine a busy one may be. */
const busyFactor = 4;

const firmwareFiles = '/usr/share/OVMF';
const escapes = /\u001b(\[[0-9;?=!]*[A-Za-z]|[=>c]|\([AB0])/g;
/** The beginning of an escape whose rest has not arrived. */
const cutEscape = /\u001b(\[[0-9;?=!]*|\()?$/;

export class Machine {
  readonly #options: MachineOptions;
  #directory = '';
  #child: ChildProcess | undefined;
  #socket: Socket | undefined;
  #log: WriteStream | undefined;
  #text = '';
  #carry = '';
  #seen = 0;
  #ended: string | undefined;
  #startedAt = 0;
  #spent = 0;

  constructor(options: MachineOptions) {
    this.#options = options;
  }

  /** Seconds since it was started. */
  get age(): number {
    return (Date.now() - this.#startedAt) / 1000;
  }

  /** Seconds of processor time the emulator has used: what it costs, whatever else the test machine does. */
  get effort(): number {
    return this.#processorTime();
  }

  /** All its serial port said, without terminal escapes. */
  get transcript(): string {
    return this.#text;
  }

  async start(): Promise<void> {
    // Written as it comes: a machine that takes long can be watched.
    if (this.#options.log) this.#log = createWriteStream(this.#options.log);
    this.#directory = await mkdtemp(join(tmpdir(), 'croft-iso-'));
    const path = join(this.#directory, 'serial');
    const argv = await this.#argv(path);
    this.#startedAt = Date.now();
    const { network } = this.#options;
    const inside = network ? ['ip', 'netns', 'exec', network.namespace] : [];
    const [program, ...rest] = [...inside, 'qemu-system-x86_64', ...argv] as [string, ...string[]];
    const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    let errors = '';
    child.stderr?.on('data', (chunk) => (errors += String(chunk)));
    child.once('error', (error) => (this.#ended = error.message));
    child.once('exit', (code, signal) => (this.#ended = `QEMU ended (${signal ?? `code ${code}`}) ${errors.trim()}`));
    this.#socket = await eventually(() => this.#connect(path), { timeout: 20_000 });
    this.#socket.setEncoding('utf8');
    this.#socket.on('data', (chunk) => this.#take(String(chunk)));
    // The port's end is the machine's end, which is told by its process.
    this.#socket.on('error', () => undefined);
  }

  /**
   * Waits until the serial port said `pattern` behind what was awaited last, and returns the match.
   * `seconds` are of processor time, which a busy test machine gives slowly; by the clock it may be `busyFactor` times
   * as long. `allow` names texts that are right here though they are bad elsewhere.
   */
  async expect(pattern: RegExp, seconds: number, allow: readonly RegExp[] = []): Promise<RegExpExecArray> {
    const deadline = Date.now() + seconds * 1000 * busyFactor;
    const spent = this.#processorTime() + seconds;
    for (;;) {
      const text = this.#text.slice(this.#seen);
      const match = pattern.exec(text);
      const before = match ? text.slice(0, match.index) : text;
      const bad = badTexts
        .filter((each) => !allow.some((other) => other.source === each.source))
        .find((each) => each.test(before));
      if (bad) throw this.#failure(`said ${bad.exec(before)?.[0] ?? ''} while ${pattern} was awaited`);
      if (match) {
        this.#seen += match.index + match[0].length;
        return match;
      }
      if (this.#ended !== undefined) throw this.#failure(`ended while ${pattern} was awaited: ${this.#ended}`);
      if (this.#processorTime() > spent) throw this.#failure(`did not say ${pattern} within ${seconds} s of processor time`);
      if (Date.now() > deadline) throw this.#failure(`did not say ${pattern} within ${seconds * busyFactor} s`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Types on its serial port. */
  type(text: string): void {
    this.#socket?.write(text);
  }

  /** Waits until the machine has switched itself off. */
  async ended(seconds: number): Promise<void> {
    await eventually(() => this.#ended !== undefined, { timeout: seconds * 1000 }).catch(() => {
      throw this.#failure(`did not switch itself off within ${seconds} s`);
    });
  }

  /** Pulls the plug: nothing the guest holds in memory reaches its disk. */
  async cut(): Promise<void> {
    this.#processorTime();
    this.#child?.kill('SIGKILL');
    await eventually(() => this.#ended !== undefined, { timeout: 10_000 });
    await this.dispose();
  }

  async dispose(): Promise<void> {
    if (this.#ended === undefined) this.#child?.kill('SIGKILL');
    this.#socket?.destroy();
    this.#log?.end();
    if (this.#directory) await rm(this.#directory, { recursive: true, force: true });
  }

  #take(chunk: string): void {
    const text = this.#carry + chunk;
    this.#carry = cutEscape.exec(text)?.[0] ?? '';
    const whole = text.slice(0, text.length - this.#carry.length);
    const plain = whole.replace(escapes, '').replaceAll('\r', '');
    this.#text += plain;
    this.#log?.write(plain);
  }

  /** Seconds of processor time the emulator has used (proc_pid_stat(5), fields 14 and 15, in hundredths). */
  #processorTime(): number {
    try {
      const fields = readFileSync(`/proc/${this.#child?.pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
      this.#spent = (Number(fields[11]) + Number(fields[12])) / 100;
    } catch {
      // It has ended, which the wait finds out by itself; what it had used is kept.
    }
    return this.#spent;
  }

  #failure(what: string): Error {
    const tail = this.#text.trimEnd().split('\n').slice(-40).join('\n');
    return new Error(`The machine (${this.#options.firmware}, ${this.age.toFixed(0)} s old) ${what}.\n--- serial port\n${tail}`);
  }

  #connect(path: string): Promise<Socket> {
    if (this.#ended !== undefined) throw this.#failure(`did not start: ${this.#ended}`);
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('connect', () => resolve(socket));
      socket.once('error', reject);
    });
  }

  async #argv(socket: string): Promise<string[]> {
    const { firmware, disk, dataDisks = [], cd, serial = 'CROFT-SYSTEM', memory = 1024, apiPort, network } = this.#options;
    const options = [
      ...[
        '-nodefaults',
        '-no-user-config',
        '-display',
        'none',
        '-accel',
        'tcg,thread=multi',
        '-cpu',
        'qemu64,+rdrand,+rdseed',
        '-smp',
        '2',
        '-m',
        String(memory),
      ],
      // A processor with RDRAND: without it the system waits half a minute for entropy.
      // Started when we listen: the first lines are not lost.
      ...['-chardev', `socket,id=serial,path=${socket},server=on,wait=on`, '-serial', 'chardev:serial'],
      ...['-device', 'virtio-rng-pci', '-drive', `if=none,id=disk,file=${disk},format=raw,cache=writeback,discard=unmap`],
      ...['-device', `virtio-blk-pci,drive=disk,serial=${serial},bootindex=1`],
    ];
    for (const [index, path] of dataDisks.entries()) {
      options.push('-drive', `if=none,id=data${index},file=${path},format=raw,cache=writeback,discard=unmap`);
      options.push('-device', `virtio-blk-pci,drive=data${index},serial=${basename(path, '.raw')}`);
    }
    if (cd) {
      options.push(
        '-drive',
        `if=none,id=cd,file=${cd},format=raw,readonly=on,media=cdrom`,
        '-device',
        'ide-cd,drive=cd,bootindex=2',
      );
    }
    if (apiPort !== undefined) {
      const forward = `user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:${apiPort}-:8440`;
      options.push('-netdev', forward, '-device', 'virtio-net-pci,netdev=net');
    }
    if (network) {
      options.push('-netdev', `tap,id=net,ifname=${network.tap},script=no,downscript=no`);
      options.push('-device', `virtio-net-pci,netdev=net,mac=${network.mac},bootindex=0`);
    }
    if (firmware === 'bios') return ['-machine', 'q35', ...options];
    const vars = join(this.#directory, 'vars.fd');
    await copyFile(join(firmwareFiles, 'OVMF_VARS_4M.ms.fd'), vars);
    return [
      ...['-machine', 'q35,smm=on', '-global', 'driver=cfi.pflash01,property=secure,value=on'],
      ...['-drive', `if=pflash,format=raw,unit=0,readonly=on,file=${join(firmwareFiles, 'OVMF_CODE_4M.secboot.fd')}`],
      ...['-drive', `if=pflash,format=raw,unit=1,file=${vars}`, ...options],
    ];
  }
}

/** A directory for a test's disks, on a real file system. */
export async function scratchDirectory(cache: string): Promise<string> {
  await mkdir(cache, { recursive: true });
  return mkdtemp(join(cache, '.test-'));
}
