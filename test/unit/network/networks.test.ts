import { describe, expect, it } from 'vitest';
import type { Network } from '../../../appliance/resources/croft-kinds.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import { chooseAddress } from '../../../network/default-network.ts';
import { assignAddress } from '../../../network/dhcp/addresses.ts';
import { parseCidr, type Cidr } from '../../../network/ip.ts';
import { admit } from '../../../network/reconciler.ts';
import { segmentOf, wishedSwitch } from '../../../network/wish.ts';
import { validateNetwork } from '../../../network/validate.ts';

const network = (name: string, spec: Network['spec'], at = '2026-01-01T00:00:00Z'): Network => ({
  apiVersion: 'croft.io/v1',
  kind: 'Network',
  metadata: { name, labels: { [idLabel]: newId() }, creationTimestamp: at },
  spec,
});

describe('validateNetwork', () => {
  const cases: [Network['spec'], RegExp][] = [
    [{ vlan: 20, trunk: [30] }, /vlan \(20\) and trunk/],
    [{ trunk: [] }, /trunk is empty/],
    [{ trunk: [20], address: '10.1.0.1/24' }, /address is not possible on a trunk/],
    [{ address: '10.1.0.1' }, /"10.1.0.1" is not an IPv4 address with prefix/],
    [{ address: '10.1.0.300/24' }, /is not an IPv4 address/],
    [{ address: '10.1.0.0/24' }, /names the whole network/],
    [{ dhcp: true }, /dhcp needs address/],
    [{ nat: true, vlan: 3 }, /nat needs address/],
    [{ address: '10.1.0.1/24', reservations: [{ mac: 'x', address: '10.1.0.2' }] }, /reservations\[0\].mac "x"/],
    [{ address: '10.1.0.1/24', reservations: [{ mac: '52:54:00:00:00:01', address: '10.2.0.2' }] }, /"10.2.0.2" is not in/],
    [{ address: '10.1.0.1/24', reservations: [{ mac: '52:54:00:00:00:01', address: '10.1.0.1' }] }, /the box's own address/],
  ];
  it.each(cases)('refuses %j', (spec, sentence) => {
    expect(validateNetwork(network('n', spec), [])).toMatch(sentence);
  });

  it('takes several addresses declared for one NIC where no DHCP gives it one', () => {
    const reservations = ['10.1.0.9', '10.1.0.10', 'fd00::9'].map((address) => ({ mac: '52:54:00:00:00:01', address }));
    expect(validateNetwork(network('n', { vlan: 20, reservations }), [])).toBeUndefined();
    expect(validateNetwork(network('n', { address: '10.1.0.1/24', dhcp: true, reservations }), [])).toMatch(/is reserved twice/);
    const nonsense = { vlan: 20, reservations: [{ mac: '52:54:00:00:00:01', address: 'tomorrow' }] };
    expect(validateNetwork(network('n', nonsense), [])).toMatch(/"tomorrow" is not an IP address/);
  });

  it('takes what is right', () => {
    const spec = {
      vlan: 20,
      address: '10.1.0.1/24',
      dhcp: true,
      reservations: [{ mac: '52:54:00:00:00:01', address: '10.1.0.9' }],
    };
    expect(validateNetwork(network('n', spec), [])).toBeUndefined();
    expect(validateNetwork(network('n', {}), [])).toBeUndefined();
  });
});

describe('wishedSwitch', () => {
  const macs = ['52:54:00:00:00:01', '52:54:00:00:00:02'] as const;
  const allowed = (mac: string, spec: Network['spec'], address?: string) => {
    const segment = segmentOf(network('n', spec));
    const nic = { vmId: newId(), index: 0, nic: 'net', mac, network: 'n', ...(address ? { address } : {}) };
    return wishedSwitch(new Map([['n', segment]]), { nics: [nic] }).ports.find(({ type }) => type === 'tap')?.allowed;
  };

  it('limits a NIC to what is declared for it, and keeps the others off that and off the box', () => {
    const reservations = [{ mac: macs[0], address: '10.1.0.9' }];
    const spec = { vlan: 20, address: '10.1.0.1/24', reservations };
    expect(allowed(macs[0], spec)).toEqual({ mac: macs[0], addresses: ['10.1.0.9'] });
    expect(allowed(macs[1], spec)).toEqual({ mac: macs[1], denied: ['10.1.0.1', '10.1.0.9'] });
    const both = { ...spec, dhcp: true, reservations: [...reservations, { mac: macs[0], address: 'fd00::9' }] };
    expect(allowed(macs[0], both, '10.1.0.9')).toEqual({ mac: macs[0], addresses: ['10.1.0.9', 'fd00::9'] });
    expect(allowed(macs[1], both, '10.1.0.7')).toEqual({ mac: macs[1], addresses: ['10.1.0.7'], denied: ['fd00::9'] });
  });
});

describe('admit', () => {
  it('refuses the younger of two that clash, and keeps what it was before', () => {
    const older = network('older', { vlan: 20 });
    const younger = network('younger', { vlan: 20 }, '2026-01-02T00:00:00Z');
    const { segments, refused } = admit([younger, older], () => undefined);
    expect(segments.map((each) => each.name)).toEqual(['older']);
    expect(refused.get('younger')).toBe("vlan 20 is the network older's already.");
    const before = admit([network('younger', { vlan: 7 })], () => undefined).segments[0];
    const id = younger.metadata.labels?.[idLabel] ?? '';
    const kept = admit([younger, older], (name) => (name === 'younger' && before ? { ...before, id } : undefined));
    expect(kept.segments.find((each) => each.name === 'younger')?.vlan).toBe(7);
  });

  it('refuses overlapping addresses', () => {
    const { refused } = admit(
      [network('a', { address: '10.1.0.1/16' }), network('b', { address: '10.1.5.1/24' }, '2026-01-02T00:00:00Z')],
      () => undefined,
    );
    expect(refused.get('b')).toMatch(/10.1.5.1\/24 overlaps with 10.1.0.1\/16 of the network a/);
  });
});

describe('assignAddress', () => {
  const cidr = parseCidr('10.1.0.1/29') as Cidr;
  const mac = '52:54:00:00:00:01';

  it('prefers the reservation, then the present one, then a stable free one', () => {
    const reservations = [{ mac: mac.toUpperCase(), address: '10.1.0.5' }];
    expect(assignAddress(cidr, mac, { reservations, present: '10.1.0.3', taken: new Set() })).toBe('10.1.0.5');
    expect(assignAddress(cidr, mac, { reservations: [], present: '10.1.0.3', taken: new Set() })).toBe('10.1.0.3');
    const free = assignAddress(cidr, mac, { reservations: [], taken: new Set() });
    expect(assignAddress(cidr, mac, { reservations: [], present: '10.9.0.3', taken: new Set() })).toBe(free);
  });

  it('gives every address once and then none', () => {
    const taken = new Set<string>();
    for (;;) {
      const address = assignAddress(cidr, mac, { reservations: [], taken });
      if (address === undefined) break;
      expect(taken.has(address)).toBe(false);
      taken.add(address);
    }
    expect([...taken].toSorted()).toEqual(['10.1.0.2', '10.1.0.3', '10.1.0.4', '10.1.0.5', '10.1.0.6']);
  });
});

describe('chooseAddress', () => {
  it('keeps out of what is there', () => {
    expect(chooseAddress(['127.0.0.1/8', '::1/128'])).toBe('10.43.0.1/24');
    expect(chooseAddress(['10.43.0.9/24'])).toBe('10.43.1.1/24');
    expect(chooseAddress(['10.0.0.5/8'])).toBe('172.30.0.1/24');
  });
});
