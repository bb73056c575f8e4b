/** The demo's chapters, in their order. Each says what it does, does it on the box and fails when it isn't so. */
import { CroftError, isCroftError } from '../errors.ts';
import { type DemoBox, until } from './box.ts';
import type { Screen } from './screen.ts';

export type Stage = { box: DemoBox; screen: Screen };

/** VMs and the networks they begin on. */
const guests = { apple: 'red', cherry: 'red', berry: 'blue' } as const;
type Guest = keyof typeof guests;
const names = Object.keys(guests) as Guest[];
const networks = [
  ['red', 20],
  ['blue', 30],
] as const;

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

/** Shows the command and runs it. */
async function croft({ box, screen }: Stage, ...args: string[]): Promise<string> {
  screen.command(`croft ${args.join(' ')}`);
  return (await box.croft(args)).stdout;
}

export async function startBox({ box, screen }: Stage): Promise<void> {
  screen.chapter('A box of its own, in a network namespace');
  screen.command('croft serve');
  screen.result(`ready after ${seconds(await box.start())}; everything of it is in ${box.directory}`);
}

export async function buildImage({ box, screen }: Stage): Promise<void> {
  screen.chapter('An image: tiny, which the box builds on its first start');
  const from = performance.now();
  await until('The image tiny', 90, async () => {
    const image = JSON.parse((await box.croft(['image', 'show', 'tiny', '-o', 'json'])).stdout) as { state: string };
    if (image.state === 'failed') throw new Error((await box.croft(['image', 'show', 'tiny'])).stdout);
    return image.state === 'ready' || undefined;
  });
  screen.command('croft image list');
  screen.quote((await box.croft(['image', 'list'])).stdout);
  screen.result(`built in ${seconds(performance.now() - from)}`);
}

export async function makeNetworks(stage: Stage): Promise<void> {
  stage.screen.chapter('Two networks: VLAN 20 and VLAN 30');
  for (const [name, vlan] of networks) {
    await croft(stage, 'network', 'create', name, '--vlan', String(vlan), '--address', `10.99.${vlan}.1/24`, '--dhcp');
  }
}

/** @returns each VM's address */
export async function makeVms(stage: Stage): Promise<Record<Guest, string>> {
  const { box, screen } = stage;
  screen.chapter('Three virtual machines');
  const from = performance.now();
  for (const name of names) {
    await croft(stage, 'vm', 'create', name, '--image', 'tiny', '--cpus', '1', '--memory', '128Mi', '--network', guests[name]);
  }
  const addresses = await Promise.all(names.map((name) => signedIn(box, name)));
  screen.command('croft vm list');
  screen.quote((await box.croft(['vm', 'list'])).stdout);
  screen.result(`booted, signed in on their serial consoles, addresses by DHCP: ${seconds(performance.now() - from)}`);
  return Object.fromEntries(names.map((name, index) => [name, addresses[index]])) as Record<Guest, string>;
}

async function signedIn(box: DemoBox, name: Guest): Promise<string> {
  const conversation = ['--send', '', '--expect', 'login:', '--send', 'root', '--expect', '[#$] ', '--timeout', '180s'];
  await box.croft(['vm', 'console', name, ...conversation], 240_000);
  return addressIn(box, name, guests[name]);
}

const addressIn = (box: DemoBox, name: Guest, network: string): Promise<string> => {
  const vlan = networks.find(([one]) => one === network)?.[1];
  return until(`An address of ${name} on ${network}`, 60, async () =>
    (await box.vm(name)).addresses.find((address) => address.startsWith(`10.99.${vlan}.`)),
  );
};

/**
 * Ping, then 1 MiB over TCP whose SHA-256 the receiver compares: ping alone also passes where checksums break.
 * @throws CroftError `internal` when it isn't as `expected`
 */
async function reaches({ box, screen }: Stage, from: Guest, to: string, address: string, expected: boolean): Promise<void> {
  const ping = await box.guest(from, `ping -c 1 -W 2 ${address} >/dev/null`);
  // `timeout`, because the -T of Debian 12's static busybox wget crashes.
  const limit = expected ? 10 : 3;
  const fetch = `timeout ${limit} wget -q -O /tmp/blob http://${address}/blob && timeout ${limit} wget -q -O - http://${address}/blob.sha256 | cut -c1-64 >/tmp/want`;
  const tcp = await box.guest(from, `${fetch} && sha256sum /tmp/blob | cut -c1-64 | cmp -s - /tmp/want`);
  screen.reach({ from, to, why: expected ? 'same VLAN' : 'other VLAN', ping, tcp });
  if (ping !== expected || tcp !== expected) {
    throw new CroftError('internal', `${from} must ${expected ? '' : 'not '}reach ${to} (ping: ${ping}, TCP: ${tcp}).`);
  }
}

export async function showReach(stage: Stage, address: Record<Guest, string>): Promise<void> {
  stage.screen.chapter('Who reaches whom: ping, and 1 MiB over TCP compared by its SHA-256');
  await reaches(stage, 'apple', 'cherry', address.cherry, true);
  await Promise.all([
    reaches(stage, 'apple', 'berry', address.berry, false),
    reaches(stage, 'berry', 'cherry', address.cherry, false),
  ]);
}

export async function moveLive(stage: Stage, address: Record<Guest, string>): Promise<void> {
  const { box, screen } = stage;
  screen.chapter('berry moves to VLAN 20 while it runs');
  const pid = await box.pidOf('berry');
  await croft(stage, 'vm', 'set-network', 'berry', '--network', 'red');
  const moved = await addressIn(box, 'berry', 'red');
  await reaches(stage, 'berry', 'apple', address.apple, true);
  same('QEMU process of berry', [pid], [await box.pidOf('berry')]);
  screen.result(`no reboot: still QEMU process ${pid}, now ${moved}`);
}

/** Left out where this Croft takes no snapshots. */
export async function snapshot(stage: Stage): Promise<void> {
  const { box, screen } = stage;
  if (!(await takesSnapshots(box))) return;
  screen.chapter('A snapshot, a deleted file, and back');
  await writeAndCheck(box, 'echo kept > /root/note; sync', 'write a file');
  await croft(stage, 'snapshot', 'create', 'apple', 'before');
  await writeAndCheck(box, 'rm /root/note; sync', 'delete the file');
  await croft(stage, 'snapshot', 'restore', 'apple', 'before', '--yes');
  // The restore is done when the disks are; the guest starts after that.
  await box.croft(['vm', 'wait', 'apple', 'running']);
  await signedIn(box, 'apple');
  await writeAndCheck(box, 'grep -q kept /root/note', 'find the file again');
  screen.result('the file is back');
}

async function takesSnapshots(box: DemoBox): Promise<boolean> {
  try {
    await box.croft(['snapshot', 'list', 'apple']);
    return true;
  } catch (error) {
    if (isCroftError(error, 'command-failed')) return false;
    throw error;
  }
}

async function writeAndCheck(box: DemoBox, command: string, what: string): Promise<void> {
  if (!(await box.guest('apple', command))) throw new CroftError('internal', `apple could not ${what}.`);
}

export async function killService(stage: Stage, address: Record<Guest, string>): Promise<void> {
  const { box, screen } = stage;
  screen.chapter('The service is killed; the guests run on');
  const before = await Promise.all(names.map((name) => box.pidOf(name)));
  const { killed, present, ms } = await box.killService();
  screen.command(`kill -9 ${killed}`);
  screen.result(`service back as process ${present} after ${seconds(ms)}`);
  await Promise.all(names.map((name) => box.croft(['vm', 'wait', name, 'running', '--timeout', '30s'])));
  const after = await Promise.all(names.map((name) => box.pidOf(name)));
  same('QEMU processes', before, after);
  screen.result(`adopted the same QEMU processes: ${names.map((name, index) => `${name} ${after[index]}`).join(', ')}`);
  await reaches(stage, 'cherry', 'apple', address.apple, true);
}

function same(what: string, before: number[], after: number[]): void {
  if (before.join() !== after.join()) {
    throw new CroftError('internal', `${what}: ${before.join(', ')} before, ${after.join(', ')} after.`);
  }
}
