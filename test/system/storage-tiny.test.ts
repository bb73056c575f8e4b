/** The tiny image on real QEMU (TCG): built once from Debian packages, booted by BIOS and by UEFI. */
import { createHash } from 'node:crypto';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../appliance/host/exec.ts';
import { inspectImage } from '../../storage/images/inspect.ts';
import { buildTiny } from '../../storage/images/tiny/build.ts';
import { eventually } from '../helpers/eventually.ts';

const bootDeadline = 120_000;
const cacheDir = join(process.env.CROFT_CACHE ?? join(homedir(), '.cache/croft'), 'tiny');

type Guest = {
  /** All that came over the serial console so far. */
  said(): string;
  type(line: string): void;
  qmp(execute: string, args?: Record<string, unknown>): void;
  /** URL of the guest's port 80. */
  url: string;
  exited: Promise<void>;
  stop(): Promise<void>;
};

let root: string;
let image: string;
const guests: Guest[] = [];

async function boot(name: string, { uefi = false, seed }: { uefi?: boolean; seed?: string } = {}): Promise<Guest> {
  const disk = join(root, `${name}.qcow2`);
  await run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', image, '-F', 'qcow2', disk]);
  const [serial, control, port] = [join(root, `${name}.serial`), join(root, `${name}.qmp`), await freePort()];
  const argv = [
    ['-machine', 'q35', '-accel', 'tcg,thread=multi,tb-size=256', '-m', '256', '-nodefaults', '-display', 'none'],
    uefi ? await firmware(name) : [],
    ['-drive', `if=none,id=disk,file=${disk},format=qcow2`, '-device', 'virtio-blk-pci,drive=disk,bootindex=1'],
    seed ? ['-drive', `if=none,id=seed,file=${seed},format=raw,readonly=on`, '-device', 'virtio-blk-pci,drive=seed'] : [],
    ['-netdev', `user,id=net,hostfwd=tcp:127.0.0.1:${port}-:80`, '-device', 'virtio-net-pci,id=nic,netdev=net'],
    ['-chardev', `socket,id=serial,path=${serial},server=on,wait=off`, '-serial', 'chardev:serial'],
    ['-qmp', `unix:${control},server=on,wait=off`, '-S'],
  ].flat();
  const child: ChildProcess = spawn('qemu-system-x86_64', argv, { stdio: ['ignore', 'ignore', 'inherit'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await eventually(() => existsSync(control) && existsSync(serial));
  const [console_, qmp] = [await dial(serial), await dial(control)];
  let said = '';
  console_.on('data', (bytes) => (said += String(bytes)));
  qmp.resume();
  const command = (execute: string, args: Record<string, unknown> = {}): void => {
    qmp.write(`${JSON.stringify({ execute, arguments: args })}\n`);
  };
  command('qmp_capabilities');
  command('cont');
  const guest: Guest = {
    said: () => said,
    type: (line) => void console_.write(`${line}\n`),
    qmp: command,
    url: `http://127.0.0.1:${port}`,
    exited,
    async stop() {
      child.kill('SIGKILL');
      await exited;
      console_.destroy();
      qmp.destroy();
    },
  };
  guests.push(guest);
  return guest;
}

async function dial(path: string): Promise<Socket> {
  const socket = connect(path);
  // The guest's end closes these; what matters is then seen in `said` and `exited`.
  socket.on('error', () => undefined);
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return socket;
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

async function firmware(name: string): Promise<string[]> {
  const vars = join(root, `${name}.fd`);
  await copyFile('/usr/share/OVMF/OVMF_VARS_4M.fd', vars);
  const pflash = (file: string, more = '') => ['-drive', `if=pflash,format=raw,file=${file}${more}`];
  return [...pflash('/usr/share/OVMF/OVMF_CODE_4M.fd', ',readonly=on'), ...pflash(vars)];
}

async function makeSeed(): Promise<string> {
  const directory = join(root, 'seed');
  await mkdir(directory);
  await writeFile(join(directory, 'meta-data'), 'instance-id: i-1\nlocal-hostname: web-1\n');
  const userData =
    '#cloud-config\npassword: "open sesame"\nruncmd:\n  - echo seed-ran > /dev/console\n  - "echo two > /root/two"\nssh_pwauth: true\n';
  await writeFile(join(directory, 'user-data'), userData);
  await run(['genisoimage', '-quiet', '-V', 'cidata', '-J', '-r', '-o', join(root, 'seed.iso'), directory]);
  return join(root, 'seed.iso');
}

const says = (guest: Guest, text: string | RegExp, timeout = bootDeadline) =>
  eventually(() => expect(guest.said()).toMatch(text), { timeout });

describe('tiny', () => {
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'croft-tiny-'));
    const built = await buildTiny({ workDir: join(root, 'work'), cacheDir, output: join(root, 'tiny.qcow2'), run });
    image = built.file;
  }, 300_000);
  afterEach(async () => {
    for (const guest of guests.splice(0)) await guest.stop();
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  it('passes our own inspection, and is the same when built again', async () => {
    expect(await inspectImage(image)).toMatchObject({ format: 'qcow2' });
    const again = await buildTiny({ workDir: join(root, 'work2'), cacheDir, output: join(root, 'again.qcow2'), run });
    await run(['qemu-img', 'compare', image, again.file]);
  }, 120_000);

  it('boots by BIOS, obeys its seed, serves data, asks for the password, and turns off by its button', async () => {
    const guest = await boot('bios', { seed: await makeSeed() });
    await says(guest, 'croft-tiny: up hostname=web-1');
    expect(guest.said()).toContain('seed-ran');
    await says(guest, /croft-tiny: eth0 address 10\.0\.2\.15\/24/);

    expect((await (await fetch(`${guest.url}/hostname`)).text()).trim()).toBe('web-1');
    const blob = Buffer.from(await (await fetch(`${guest.url}/blob`)).arrayBuffer());
    expect(blob).toHaveLength(2 ** 20);
    const digest = createHash('sha256').update(blob).digest('hex');
    expect((await (await fetch(`${guest.url}/blob.sha256`)).text()).trim()).toBe(digest);
    const answer = await fetch(`${guest.url}/cgi-bin/sha256`, { method: 'POST', body: blob });
    expect((await answer.text()).trim()).toBe(digest);

    guest.type('root');
    await says(guest, 'Password:');
    guest.type('open sesame');
    await eventually(
      () => {
        guest.type('echo in-$((40+2)) $(cat /root/two)');
        expect(guest.said()).toContain('in-42 two');
      },
      { timeout: 20_000, interval: 1_000 },
    );
    guest.qmp('system_powerdown');
    await guest.exited;
    expect(guest.said()).toContain('Power down');
  }, 240_000);

  it('boots by UEFI, lets root in on the console without a password, and asks for an address again on another network', async () => {
    const guest = await boot('uefi', { uefi: true });
    await says(guest, 'croft login:');
    await says(guest, /eth0 address 10\.0\.2\.15/);
    guest.type('root');
    await eventually(
      () => {
        guest.type('echo in-$((40+2))');
        expect(guest.said()).toContain('in-42');
      },
      { timeout: 20_000, interval: 1_000 },
    );
    // A NIC that is moved to another network loses its carrier for a moment.
    guest.qmp('set_link', { name: 'nic', up: false });
    // Down and up within one look of the driver would be no change to it.
    await eventually(
      () => {
        guest.type('ip link show eth0 | grep -q NO-CARRIER && echo down-$((1+1))');
        expect(guest.said()).toContain('down-2');
      },
      { timeout: 20_000, interval: 1_000 },
    );
    guest.qmp('set_link', { name: 'nic', up: true });
    await eventually(() => expect(guest.said().match(/eth0 address 10\.0\.2\.15/g)?.length).toBeGreaterThan(1), {
      timeout: 30_000,
    });
    guest.type('poweroff');
    await guest.exited;
  }, 240_000);
});
