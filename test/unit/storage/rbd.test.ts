import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { assertRoom, blockdevGraph, rbdReserve, usageOf } from '../../../storage/rbd/driver.ts';
import type { CephBridge } from '../../../storage/rbd/bridge/client.ts';
import { createFlattener, deepest } from '../../../storage/rbd/flatten.ts';
import { RbdPool } from '../../../storage/rbd/pool.ts';
import { convertArgv } from '../../../storage/rbd/images.ts';
import { keptImages, parseRecord, unnamed, VolumeRecord } from '../../../storage/rbd/record.ts';
import { rejectsWith } from '../../contract/volume-driver.ts';

const volume: VolumeRecord = {
  id: 'v',
  createdAt: '2026-01-01T00:00:00Z',
  head: 3,
  next: 4,
  snapshots: [
    { id: 'a', generation: 1, size: 1, createdAt: '2026-01-01T00:00:00Z' },
    { id: 'b', generation: 3, size: 1, createdAt: '2026-01-01T00:00:00Z' },
  ],
};

describe('records', () => {
  it('keep heads, generations with snapshots, and images; nothing else, and nothing foreign goes', () => {
    const kept = keptImages([volume], [{ id: 'i', generation: 2, size: 1, used: 1 }]);
    expect(Object.fromEntries([...kept].map(([name, snapshots]) => [name, [...snapshots]]))).toEqual({
      'vol-v.g3': ['s-b'],
      'vol-v.g1': ['s-a'],
      'img-i.g2': ['base'],
    });
    expect(unnamed(['vol-v.g1', 'vol-v.g2', 'vol-v.g3', 'img-i.g1', 'img-i.g2', 'somebody-elses'], kept)).toEqual([
      'vol-v.g2',
      'img-i.g1',
    ]);
  });

  it('are refused when damaged', async () => {
    expect(parseRecord(VolumeRecord, 'v', JSON.stringify(volume))).toEqual(volume);
    await rejectsWith((async () => parseRecord(VolumeRecord, 'v', '{"id":"v"}'))(), 'invalid-state');
  });
});

it('opens an image without any key among the arguments', () => {
  const graph = blockdevGraph({ pool: 'p', image: 'vol-v.g1', conf: '/g/ceph.conf', user: 'croft-p' }, 'd0');
  expect(graph).toEqual({
    nodes: [
      {
        driver: 'rbd',
        'node-name': 'd0-rbd',
        pool: 'p',
        image: 'vol-v.g1',
        user: 'croft-p',
        conf: '/g/ceph.conf',
        cache: { direct: true, 'no-flush': false },
        discard: 'unmap',
      },
      { driver: 'raw', 'node-name': 'd0', file: 'd0-rbd', cache: { direct: true, 'no-flush': false }, discard: 'unmap' },
    ],
    top: 'd0',
  });
});

it('takes images in through librbd, skipping zeros', () => {
  const argv = convertArgv({ conf: '/c,d/ceph.conf', file: '/f', format: 'raw', place: { pool: 'p' }, name: 'img-i.g1' });
  expect(argv.join(' ')).toBe(
    'qemu-img convert -p -n --target-is-zero -W -m 8 -t none -f raw /f --target-image-opts ' +
      'driver=raw,file.driver=rbd,file.pool=p,file.image=img-i.g1,file.conf=/c,,d/ceph.conf,file.user=admin',
  );
});

it('tells what guests can store, copies taken into account', () => {
  expect(usageOf({ pools: [{ name: 'p', stats: { stored: 3, max_avail: 7 } }] }, 'p')).toEqual({
    capacity: 10,
    used: 3,
    free: 7,
  });
  expect(usageOf({ pools: [] }, 'p')).toEqual({ capacity: 0, used: 0, free: 0 });
});

it('takes no new volume below its reserve, and says what would help', async () => {
  const gib = 2 ** 30;
  const refuse = (free: number, reserve?: number) => (): void =>
    assertRoom({ capacity: 100 * gib, free }, { pool: 'p', reserve });
  expect(refuse(5 * gib)).not.toThrow();
  expect(refuse(4 * gib)).toThrow(/pool p has 4 GiB free and keeps 5 GiB in reserve: add a disk/);
  expect(refuse(4 * gib, 3 * gib)).not.toThrow();
  expect([2, 10, 100, 1000].map((size) => rbdReserve(size * gib, undefined) / gib)).toEqual([0.5, 0.5, 5, 10]);
  // Just made: Ceph has not measured it yet.
  expect(() => assertRoom({ capacity: 0, free: 0 }, { pool: 'p' })).not.toThrow();
});

it('does not look for ever at an image that is still listed after it was removed', async () => {
  const asked: string[] = [];
  const bridge = {
    listImages: async () => ['vol-a.g1', 'vol-b.g1', 'foreign'],
    removeImage: async (_place: unknown, name: string) => asked.push(name) > 0,
  } as unknown as CephBridge;
  const pool = new RbdPool({ pool: 'p' }, async () => bridge, silentLogger());
  await pool.collect();
  expect(asked).toEqual(['vol-a.g1', 'vol-b.g1']);
});

it('flattens what lies on too many others, one after the other, and looks again when it was asked meanwhile', async () => {
  const flattened: string[] = [];
  let depths: Record<string, number> = { 'vol-a.g1': deepest, 'vol-b.g7': deepest + 1 };
  const bridge = {
    listImages: async () => [],
    depths: async () => depths,
    flatten: async (_place: unknown, name: string) => void flattened.push(name),
  } as unknown as CephBridge;
  const pool = new RbdPool({ pool: 'p' }, async () => bridge, silentLogger());
  let may = false;
  const flattener = createFlattener(pool, silentLogger(), () => may);
  await flattener.look();
  expect(flattened).toEqual([]);
  may = true;
  const first = flattener.look();
  depths = { 'vol-c.g9': deepest + 5 };
  void flattener.look();
  await first;
  expect(flattened).toContain('vol-c.g9');
});
