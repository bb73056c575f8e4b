/** Network devices of the box, through `ip -json` (iproute2): bulk reads, and batches of changes in one call. */
import { CroftError } from '../appliance/errors.ts';
import { run } from '../appliance/host/exec.ts';

export type Link = {
  name: string;
  index: number;
  mtu: number;
  up: boolean;
  /** It has a link: the other end is there. */
  link: boolean;
  mac?: string;
  /** Set for taps: uid that may open it, and whether frames carry virtio headers. */
  tap?: { user?: number };
  /** The bridge or bond it is in. */
  master?: string;
  /** `veth`, `bridge` …; absent for hardware. */
  kind?: string;
  /** IPv4 and IPv6 with prefix, `10.43.0.1/24`; only from listAddresses. */
  addresses: string[];
};

/** The part of `ip -j -d link` and `ip -j addr` that is read. */
type IpLink = {
  ifname: string;
  ifindex: number;
  mtu: number;
  flags: string[];
  address?: string;
  master?: string;
  linkinfo?: { info_kind?: string; info_data?: { type?: string; user?: number | string } };
  addr_info?: { local: string; prefixlen: number; scope?: string }[];
};

/** Parses what `ip -j` prints; a removed device leaves `{}` in its lists. */
export function parseLinks(json: string): Link[] {
  const links = (json.trim() === '' ? [] : JSON.parse(json)) as Partial<IpLink>[];
  return links.flatMap((link) => {
    if (link.ifname === undefined) return [];
    const data =
      link.linkinfo?.info_kind === 'tun' && link.linkinfo.info_data?.type === 'tap' ? link.linkinfo.info_data : undefined;
    const user = data?.user === undefined ? Number.NaN : Number(data.user);
    return [
      {
        name: link.ifname,
        index: link.ifindex ?? 0,
        mtu: link.mtu ?? 0,
        up: link.flags?.includes('UP') ?? false,
        link: link.flags?.includes('LOWER_UP') ?? false,
        ...(link.address === undefined ? {} : { mac: link.address }),
        ...(link.master === undefined ? {} : { master: link.master }),
        ...(link.linkinfo?.info_kind === undefined ? {} : { kind: link.linkinfo.info_kind }),
        ...(data ? { tap: Number.isNaN(user) ? {} : { user } } : {}),
        addresses: (link.addr_info ?? []).map((each) => `${each.local}/${each.prefixlen}`),
      },
    ];
  });
}

/** All tun and tap devices, with whose they are. */
export const listTaps = async (): Promise<Link[]> =>
  parseLinks((await run(['ip', '-j', '-d', 'link', 'show', 'type', 'tun'])).stdout);

/** All devices with their addresses. */
export const listAddresses = async (): Promise<Link[]> => parseLinks((await run(['ip', '-j', '-d', 'address', 'show'])).stdout);

/** Removes devices by what they are called. */
export async function deleteLinks(which: (name: string) => boolean): Promise<void> {
  const names = (await listAddresses()).map((link) => link.name).filter(which);
  await ipBatch(names.map((name) => ['link', 'delete', 'dev', name]));
}

/** A leg of the box, with the address it should have. */
export type LegWish = { name: string; address: string; prefix: number };

/** The `ip` commands that give legs their address and bring them up; none where nothing differs. Pure. */
export function planLegs(found: readonly Link[], legs: readonly LegWish[]): string[][] {
  return legs.flatMap(({ name, address, prefix }) => {
    const link = found.find((each) => each.name === name);
    if (!link) return [];
    const wished = `${address}/${prefix}`;
    const old = link.addresses.filter((each) => !each.includes(':') && each !== wished);
    return [
      ...old.map((each) => ['address', 'delete', each, 'dev', name]),
      ...(link.addresses.includes(wished) ? [] : [['address', 'add', wished, 'dev', name]]),
      ...(link.up ? [] : [['link', 'set', 'dev', name, 'up']]),
    ];
  });
}

/** A word that may stand in an `ip -batch` line: nothing that could break out of it. */
const word = /^[A-Za-z0-9_.:/-]+$/;

/** What `ip -batch -` reads. @throws CroftError `internal` for an argument that would break out of its line */
export function ipBatchText(commands: readonly (readonly string[])[]): string {
  for (const argument of commands.flat()) {
    if (!word.test(argument)) throw new CroftError('internal', `${JSON.stringify(argument)} cannot be an argument of ip.`);
  }
  return `${commands.map((command) => command.join(' ')).join('\n')}\n`;
}

/** Runs `ip` subcommands in one process, in order, up to the first failure. @throws CroftError `command-failed` */
export async function ipBatch(commands: readonly (readonly string[])[]): Promise<void> {
  if (commands.length === 0) return;
  await run(['ip', '-batch', '-'], { input: ipBatchText(commands), timeout: 60_000 });
}
