import { describe, expect, it } from 'vitest';
import type { InstanceSpec } from '../../../appliance/resources/virtual-machine.ts';
import { fixedNames, liveDisks } from '../../../appliance/vm/fixed-disks.ts';
import { driveNames, emptyDrives } from '../../../appliance/vm/guest-shape.ts';

const specOf = (disks: NonNullable<InstanceSpec['domain']['devices']['disks']>, filled: string[]): InstanceSpec => ({
  domain: { devices: { disks } },
  volumes: filled.map((name) => ({ name, dataVolume: { name: `vm-${name}` } })),
});

describe('CD drives', () => {
  const spec = specOf(
    [
      { name: 'root', disk: {} },
      { name: 'cd', cdrom: {} },
      { name: 'cd2', cdrom: {} },
    ],
    ['root', 'cd'],
  );

  it('without a volume are empty, not absent', () => {
    expect(emptyDrives(spec).map(({ name }) => name)).toEqual(['cd2']);
    expect(driveNames(spec)).toEqual(['root', 'cd', 'cd2']);
  });
});

describe('disks on a bus without hot-plug', () => {
  const now = specOf(
    [
      { name: 'root', disk: { bus: 'sata' } },
      { name: 'cd', cdrom: {} },
    ],
    ['root'],
  );

  it('are the SATA ones, CD drives by default', () => expect(fixedNames(now)).toEqual(['cd', 'root']));

  it('neither come nor go while the guest runs; media and other disks do', () => {
    const wish = specOf(
      [
        { name: 'root', disk: { bus: 'sata' } },
        { name: 'new', disk: { bus: 'sata' } },
        { name: 'v', disk: {} },
      ],
      ['root', 'new', 'v'],
    );
    const live = liveDisks(wish, now);
    expect(live.disks?.map(({ name }) => name)).toEqual(['root', 'v', 'cd']);
    expect(live.volumes?.map(({ name }) => name)).toEqual(['root', 'v']);
    const filled = specOf(now.domain.devices.disks ?? [], ['root', 'cd']);
    expect(liveDisks(filled, now)).toEqual({ disks: filled.domain.devices.disks, volumes: filled.volumes });
  });
});
