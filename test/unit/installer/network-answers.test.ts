import { expect, test } from 'vitest';
import { networkFiles } from '../../../installer/network-answers.ts';

test('a fixed address on the port with this MAC address, and on no bridge or tap that took it over', () => {
  const files = networkFiles({
    interface: '52:54:00:12:34:56',
    addresses: ['192.0.2.10/24', '2001:db8::10/64'],
    gateway: '192.0.2.1',
    dns: ['192.0.2.53'],
  });
  expect(files).toEqual({
    '60-croft-port.network':
      '[Match]\nType=ether\nKind=!*\nMACAddress=52:54:00:12:34:56\n\n[Network]\nAddress=192.0.2.10/24\nAddress=2001:db8::10/64\n' +
      'Gateway=192.0.2.1\nDNS=192.0.2.53\nLinkLocalAddressing=ipv6\n\n[Link]\nRequiredForOnline=no\n',
  });
});

test('on a VLAN the port itself has none', () => {
  const files = networkFiles({ interface: 'enp1s0', addresses: ['192.0.2.10/24'], vlan: 20 });
  expect(Object.keys(files)).toEqual(['60-croft-vlan.netdev', '60-croft-port.network', '61-croft-vlan.network']);
  expect(files['60-croft-vlan.netdev']).toContain('Name=croft-vlan20\nKind=vlan\n\n[VLAN]\nId=20\n');
  expect(files['60-croft-port.network']).toContain(
    '[Match]\nName=enp1s0\n\n[Network]\nVLAN=croft-vlan20\nLinkLocalAddressing=no',
  );
  expect(files['60-croft-port.network']).not.toContain('Address=');
  expect(files['61-croft-vlan.network']).toContain('[Match]\nName=croft-vlan20\n\n[Network]\nAddress=192.0.2.10/24');
});
