import { expect, it } from 'vitest';
import { bothOf, planGive, planTake, type NicAddresses } from '../../../appliance/host/nic-addresses.ts';

const mine: NicAddresses = {
  addresses: [
    { local: '192.0.2.1', prefixlen: 24, broadcast: '192.0.2.255', scope: 'global' },
    { local: '10.0.0.1', prefixlen: 32, address: '10.0.0.2', scope: 'global' },
    { local: '2001:db8::1', prefixlen: 64, scope: 'global' },
  ],
  routes: [
    { dst: 'default', gateway: '192.0.2.254', protocol: 'static', metric: 100 },
    { dst: '198.51.100.0/24', prefsrc: '192.0.2.1' },
    { dst: '::/0', gateway: 'fe80::1', flags: ['onlink'] },
  ],
};
const none: NicAddresses = { addresses: [], routes: [] };
const text = (commands: string[][]): string[] => commands.map((command) => command.join(' '));

it('gives a device what it lacks, gateways after what makes them reachable', () => {
  expect(text(planGive('cm0', mine, none))).toEqual([
    'address add 192.0.2.1/24 broadcast 192.0.2.255 scope global dev cm0',
    'address add 10.0.0.1 peer 10.0.0.2/32 scope global dev cm0',
    'address add 2001:db8::1/64 scope global dev cm0',
    'route replace 198.51.100.0/24 dev cm0 src 192.0.2.1',
    'route replace default via 192.0.2.254 dev cm0 proto static metric 100',
    'route replace ::/0 via fe80::1 dev cm0 onlink',
  ]);
  expect(planGive('cm0', mine, mine)).toEqual([]);
  expect(text(planGive('cm0', mine, { ...mine, addresses: mine.addresses.slice(1) }))).toHaveLength(1);
});

it('takes addresses, and their routes with them', () => {
  expect(text(planTake('eth0', mine))).toEqual([
    'address delete 192.0.2.1/24 dev eth0',
    'address delete 10.0.0.1 peer 10.0.0.2/32 dev eth0',
    'address delete 2001:db8::1/64 dev eth0',
  ]);
});

it('joins what was noted with what came later, each once', () => {
  const later: NicAddresses = { addresses: [{ local: '192.0.2.9', prefixlen: 24 }], routes: [] };
  expect(bothOf(mine, later).addresses).toHaveLength(4);
  expect(bothOf(mine, mine)).toEqual(mine);
});
