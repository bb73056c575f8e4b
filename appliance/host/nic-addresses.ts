/**
 * Addresses and routes of a network device, taken down as `ip` prints them and put on a device again: those of a NIC that
 * becomes an uplink live on the switch's port meanwhile (network/uplinks/addresses.ts), and come back to it.
 */
import { run } from './exec.ts';

/** The part of `ip -j address show` that is kept. */
export type NicAddress = { local: string; prefixlen: number; broadcast?: string; scope?: string; address?: string };
/** The part of `ip -j route show` that is kept. */
export type NicRoute = { dst: string; gateway?: string; protocol?: string; metric?: number; prefsrc?: string; flags?: string[] };

export type NicAddresses = { addresses: NicAddress[]; routes: NicRoute[] };

type Shown = NicAddress & { dynamic?: boolean; family?: string };

/** What a device has of its own. Link-local addresses and what routers announced come by themselves wherever it is. */
export async function readNicAddresses(device: string): Promise<NicAddresses> {
  const json = async <T>(...argv: string[]): Promise<T[]> => {
    const { stdout } = await run(['ip', '-j', ...argv]);
    return (stdout.trim() === '' ? [] : (JSON.parse(stdout) as T[])).filter((each) => Object.keys(each as object).length > 0);
  };
  const [link] = await json<{ addr_info?: Shown[] }>('address', 'show', 'dev', device);
  const routes = [
    ...(await json<NicRoute>('-4', 'route', 'show', 'table', 'main', 'dev', device)),
    ...(await json<NicRoute>('-6', 'route', 'show', 'table', 'main', 'dev', device)),
  ];
  return {
    addresses: (link?.addr_info ?? []).flatMap(keptAddress),
    routes: routes.filter(({ protocol }) => protocol !== 'kernel' && protocol !== 'ra').map(keptRoute),
  };
}

function keptAddress({ local, prefixlen, broadcast, scope, address, dynamic, family }: Shown): NicAddress[] {
  const announced = family === 'inet6' && dynamic === true;
  if (announced || scope === 'link') return [];
  return [
    {
      local,
      prefixlen,
      ...(broadcast === undefined ? {} : { broadcast }),
      ...(scope === undefined ? {} : { scope }),
      ...(address === undefined ? {} : { address }),
    },
  ];
}

const keptRoute = ({ dst, gateway, protocol, metric, prefsrc, flags }: NicRoute): NicRoute => ({
  // Without a gateway a bare `default` would not say of which family it is.
  dst: dst === 'default' && gateway?.includes(':') ? '::/0' : dst,
  ...(gateway === undefined ? {} : { gateway }),
  ...(protocol === undefined ? {} : { protocol }),
  ...(metric === undefined ? {} : { metric }),
  ...(prefsrc === undefined ? {} : { prefsrc }),
  ...(flags?.includes('onlink') ? { flags: ['onlink'] } : {}),
});

const prefixed = ({ local, prefixlen }: NicAddress): string => `${local}/${prefixlen}`;
const isSame = (a: NicAddress, b: NicAddress): boolean => prefixed(a) === prefixed(b);

/** What either has; each once. Pure. */
export const bothOf = (a: NicAddresses, b: NicAddresses): NicAddresses => ({
  addresses: [...a.addresses, ...b.addresses.filter((each) => !a.addresses.some((known) => isSame(known, each)))],
  routes: [...a.routes, ...b.routes.filter((each) => !a.routes.some((known) => JSON.stringify(known) === JSON.stringify(each)))],
});

/** `ip` subcommands that give a device addresses and routes; none where it has them. Pure. */
export function planGive(device: string, wish: NicAddresses, present: NicAddresses): string[][] {
  const words = (name: string, value: string | number | undefined): string[] =>
    value === undefined ? [] : [name, String(value)];
  const addresses = wish.addresses
    .filter((each) => !present.addresses.some((known) => isSame(known, each)))
    .map((each) => {
      const { local, prefixlen, address, broadcast, scope } = each;
      // With a peer the prefix is the peer's.
      const ends = address === undefined ? [prefixed(each)] : [local, 'peer', `${address}/${prefixlen}`];
      return ['address', 'add', ...ends, ...words('broadcast', broadcast), ...words('scope', scope), 'dev', device];
    });
  const known = new Set(present.routes.map((route) => JSON.stringify(route)));
  const routes = wish.routes
    .filter((route) => !known.has(JSON.stringify(route)))
    // A gateway must be reachable before a route leads over it.
    .toSorted((a, b) => Number(a.gateway !== undefined) - Number(b.gateway !== undefined))
    .map(({ dst, gateway, protocol, metric, prefsrc, flags }) => [
      ...['route', 'replace', dst, ...words('via', gateway), 'dev', device],
      ...[...words('proto', protocol), ...words('metric', metric), ...words('src', prefsrc), ...(flags ?? [])],
    ]);
  return [...addresses, ...routes];
}

/** `ip` subcommands that take addresses from a device; their routes go along. Pure. */
export const planTake = (device: string, { addresses }: NicAddresses): string[][] =>
  addresses.map(({ local, prefixlen, address }) => [
    'address',
    'delete',
    ...(address === undefined ? [`${local}/${prefixlen}`] : [local, 'peer', `${address}/${prefixlen}`]),
    'dev',
    device,
  ]);

/** Gives a device what it lacks of these. @throws CroftError `command-failed` */
export async function giveNicAddresses(device: string, wish: NicAddresses): Promise<void> {
  for (const command of planGive(device, wish, await readNicAddresses(device)))
    await run(['ip', ...command] as [string, ...string[]]);
}
