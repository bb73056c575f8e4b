/** What the console's forms become: of an uplink a patch with what differs, of an import a mapping and a command. */
import { describe, expect, it } from 'vitest';
import { parseManifest } from '../../../appliance/ovf/manifest.ts';
import type { Uplink } from '../../../ui-api/client/types.ts';
import { emptyUplink, fieldsOfForm, formOf, isComplete, patchOf } from '../../../ui-api/console/src/forms/uplink-model.ts';
import {
  checksumsOf,
  emptyImport,
  importCommand,
  mapping,
  type Report,
} from '../../../ui-api/console/src/forms/vm-import-model.ts';

describe('an uplink', () => {
  const bond = { name: 'lan', interfaces: ['eth1', 'eth2'], mode: 'lacp', vlans: [20, 30], native: 20, mtu: 9000 } as Uplink;

  it('comes back as it was: nothing to change', () => {
    expect(patchOf(bond, formOf(bond))).toEqual({});
    const access = { name: 'lan', interfaces: ['eth1'], access: 7 } as Uplink;
    expect(patchOf(access, formOf(access))).toEqual({});
  });

  it('is patched with what differs; what goes back to the default is null', () => {
    const form = { ...formOf(bond), interfaces: ['eth2'], carries: 'all' as const, mtu: '' };
    expect(patchOf(bond, form)).toEqual({ interfaces: ['eth2'], mode: null, vlans: null, mtu: null });
    expect(patchOf(bond, { ...formOf(bond), carries: 'one', access: '5' })).toEqual({ vlans: null, access: 5, native: null });
  });

  it('is complete only with devices, VLANs and numbers that can be', () => {
    expect(isComplete(emptyUplink)).toBe(false);
    const one = { ...emptyUplink, interfaces: ['eth1'] };
    expect(isComplete(one)).toBe(true);
    expect(fieldsOfForm(one)).toEqual({ interfaces: ['eth1'] });
    for (const wrong of [
      { carries: 'some' as const, vlans: '' },
      { carries: 'some' as const, vlans: '20, 5000' },
      { carries: 'one' as const, access: '0' },
      { native: 'x' },
      { mtu: '100' },
    ])
      expect(isComplete({ ...one, ...wrong })).toBe(false);
  });
});

describe('an import', () => {
  const report = {
    nics: [
      { name: 'nic0', from: 'VM Network', network: '' },
      { name: 'nic1', from: 'Prod', network: '' },
    ],
  } as Report;

  it('leads each network where somebody chose, else to one of the same name, else to the first', () => {
    expect(mapping(undefined, emptyImport, ['lan'])).toEqual({ '*': 'lan' });
    const known = ['lan', 'default', 'prod'];
    expect(mapping(report, emptyImport, known)).toEqual({ '*': 'default', 'VM Network': 'default', Prod: 'prod' });
    const chosen = { ...emptyImport, networks: { 'VM Network': 'lan' } };
    expect(mapping(report, chosen, known)).toMatchObject({ 'VM Network': 'lan' });
  });

  it('hands on the sums the box can check', () => {
    const manifest = parseManifest('SHA1(a.vmdk)= 00ff\nSHA256(b.vmdk)= AA11\n');
    expect(checksumsOf(manifest)).toEqual({ 'b.vmdk': 'sha256:aa11' });
  });

  it('is the same as a command that a shell takes', () => {
    const form = { ...emptyImport, name: 'shop', devices: 'virtio' as const, keepMac: true };
    expect(importCommand("Bob's.ova", form, { '*': 'default', 'VM Network': 'lan' })).toBe(
      "croft vm import 'Bob'\\''s.ova' \\\n  --name shop \\\n  --network 'VM Network=lan' \\\n  --devices virtio \\\n  --keep-mac",
    );
  });
});
