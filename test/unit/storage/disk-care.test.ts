/** What disks say of themselves, which one blinks, and a daemon that ends again and again. */
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { createDaemons } from '../../../storage/ceph/daemons.ts';
import { cephPaths } from '../../../storage/ceph/conf.ts';
import { createLocator } from '../../../storage/ceph/locate.ts';
import { parseSmart, warningOf } from '../../../storage/ceph/smart.ts';
import { exportArgv, importArgv } from '../../../storage/rbd/streams.ts';
import { eventually } from '../../helpers/eventually.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'croft-care-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('SMART', () => {
  it('is read from ATA, NVMe and SAS disks as smartctl 7 tells of them', () => {
    const ata = {
      smart_status: { passed: true },
      temperature: { current: 34 },
      power_on_time: { hours: 20_101, minutes: 3 },
      ata_smart_attributes: {
        table: [
          { id: 5, name: 'Reallocated_Sector_Ct', raw: { value: 8, string: '8' } },
          { id: 9, name: 'Power_On_Hours', raw: { value: 20_101 } },
          { id: 197, name: 'Current_Pending_Sector', raw: { value: 2 ** 33 + 1 } },
        ],
      },
    };
    expect(parseSmart(JSON.stringify(ata))).toEqual({ passed: true, temperature: 34, hours: 20_101, badSectors: 9 });
    const nvme = {
      smart_status: { passed: false },
      temperature: { current: 61 },
      power_on_time: { hours: 5 },
      nvme_smart_health_information_log: { percentage_used: 97, media_errors: 0 },
    };
    expect(parseSmart(JSON.stringify(nvme))).toEqual({ passed: false, temperature: 61, hours: 5, wear: 97, badSectors: 0 });
    expect(parseSmart(JSON.stringify({ smart_status: { passed: true }, scsi_grown_defect_list: 3 }))).toEqual({
      passed: true,
      badSectors: 3,
    });
    // A virtual disk: smartctl says what it is, and nothing more.
    expect(parseSmart(JSON.stringify({ smartctl: { exit_status: 4 }, device: { name: '/dev/vda' } }))).toBeUndefined();
  });

  it('warns in words before a disk fails', () => {
    const words = [{ passed: false, wear: 99 }, { badSectors: 1 }, { badSectors: 9 }, { wear: 90 }, { temperature: 60 }];
    expect(words.map(warningOf)).toEqual([
      'The disk says that it is failing: replace it.',
      '1 sector is bad: replace it soon.',
      '9 sectors are bad: replace it soon.',
      '90 % of its life is used up.',
      'It is 60 °C hot.',
    ]);
    expect(warningOf({ passed: true, temperature: 59, wear: 89, badSectors: 0, hours: 90_000 })).toBeUndefined();
  });
});

describe('locating', () => {
  it('lights the slot of the enclosure that the disk is in, until its time is over or it is ended', async () => {
    const disk = join(directory, 'sdx');
    await writeFile(disk, '');
    const slot = join(directory, 'enclosure/0:0:1:0/Slot 03');
    await mkdir(join(slot, 'device/block/sdx'), { recursive: true });
    await writeFile(join(slot, 'locate'), '0');
    await mkdir(join(directory, 'enclosure/0:0:1:0/Slot 04/device/block/sdy'), { recursive: true });
    const light = () => readFile(join(slot, 'locate'), 'utf8');
    const locator = createLocator(silentLogger(), join(directory, 'enclosure'));
    const wish = (ms: number) => [{ id: 'a', path: disk, locateUntil: new Date(Date.now() + ms).toISOString() }];

    locator.follow(wish(60_000));
    await eventually(async () => expect(await light()).toBe('1'));
    expect(locator.of('a')).toBe('light');
    locator.follow([{ id: 'a', path: disk }]);
    await eventually(async () => expect(await light()).toBe('0'));
    expect(locator.of('a')).toBeUndefined();

    locator.follow(wish(300));
    await eventually(async () => expect(await light()).toBe('1'));
    await eventually(async () => expect(await light()).toBe('0'));
    locator.stop();
  });

  it('reads the disk in bursts where it has no light of its own', async () => {
    const disk = join(directory, 'disk');
    await writeFile(disk, Buffer.alloc(2 ** 20));
    const locator = createLocator(silentLogger(), join(directory, 'none'));
    locator.follow([{ id: 'a', path: disk, locateUntil: new Date(Date.now() + 60_000).toISOString() }]);
    await eventually(() => expect(locator.of('a')).toBe('activity'));
    locator.stop();
    await eventually(() => expect(locator.of('a')).toBeUndefined());
  });
});

it('leaves the daemon of a broken disk alone once it ended five times in a row', { timeout: 30_000 }, async () => {
  const bin = join(directory, 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'ceph-osd'), `#!/bin/sh\necho x >>${directory}/starts\nsleep 0.2\nexit 1\n`);
  await chmod(join(bin, 'ceph-osd'), 0o755);
  const path = process.env.PATH;
  process.env.PATH = `${bin}:${path}`;
  const daemons = createDaemons(cephPaths(directory), undefined, silentLogger());
  try {
    await daemons.startOsd(7);
    await eventually(() => expect(daemons.pidOf('osd.7')).toBeUndefined(), { timeout: 25_000 });
    await eventually(async () => expect((await readFile(join(directory, 'starts'), 'utf8')).length).toBe(2 * 5), {
      timeout: 25_000,
    });
    await eventually(
      async () => await expect(daemons.startOsd(7)).rejects.toThrow('ended 5 times in a row, as on a broken disk'),
      {
        timeout: 10_000,
      },
    );
    expect((await readFile(join(directory, 'starts'), 'utf8')).length).toBe(2 * 5);
  } finally {
    process.env.PATH = path;
    await daemons.stopAll();
  }
});

it('asks rbd for what changed, in the pool and namespace', () => {
  const place = { pool: 'p', namespace: 'n' };
  expect(exportArgv({ conf: '/c', place, image: 'vol-v.g2', snapshot: 'b', since: 'a', file: '/f' }).join(' ')).toBe(
    'rbd -c /c export-diff --whole-object --from-snap s-a p/n/vol-v.g2@s-b /f',
  );
  expect(exportArgv({ conf: '/c', place: { pool: 'p' }, image: 'vol-v.g1', snapshot: 'b', file: '/f' }).join(' ')).toBe(
    'rbd -c /c export-diff --whole-object p/vol-v.g1@s-b /f',
  );
  expect(importArgv({ conf: '/c', place, image: 'vol-w.g1', file: '/f' }).join(' ')).toBe(
    'rbd -c /c import-diff /f p/n/vol-w.g1',
  );
});
