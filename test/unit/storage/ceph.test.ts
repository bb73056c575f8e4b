import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  cephPaths,
  daemonConf,
  fullRatios,
  guestConf,
  keyringText,
  newKey,
  osdMemory,
  placementGroups,
} from '../../../storage/ceph/conf.ts';
import { inspectDisk, osdUuidOn, whatIsOn, wipeMarks } from '../../../storage/ceph/disks.ts';
import {
  allClean,
  allServed,
  describeHealth,
  duration,
  isStale,
  type CephStatus,
  type HealthInput,
} from '../../../storage/ceph/health.ts';
import type { OsdRecord } from '../../../storage/ceph/record.ts';
import { releaseOf } from '../../../storage/ceph/upgrade.ts';
import { rejectsWith } from '../../contract/volume-driver.ts';

const gib = 2 ** 30;
const settings = { fsid: 'f', box: 'alone', address: '127.0.0.1', port: 3300, failureDomain: 'osd' as const, osdMemory: gib };

describe('texts', () => {
  it('keeps to its own directories, to loopback, and encrypts', () => {
    const text = daemonConf(settings, cephPaths('/d/ceph', '/r/ceph'));
    const lines = text.split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        'mon host = [v2:127.0.0.1:3300/0]',
        'public addr = 127.0.0.1',
        'auth cluster required = cephx',
        'ms cluster mode = secure',
        'keyring = /d/ceph/keyrings/$name.keyring',
        'mon data = /d/ceph/mon',
        'osd memory target = 1073741824',
      ]),
    );
    expect(text).not.toMatch(/\/etc\/ceph|\/var\/lib\/ceph/);
  });

  it('lets one disk report another where there is one box, one box another otherwise', () => {
    const lines = (failureDomain: 'osd' | 'host') => daemonConf({ ...settings, failureDomain }, cephPaths('/d')).split('\n');
    expect(lines('osd')).toEqual(
      expect.arrayContaining(['mon osd min down reporters = 1', 'mon osd reporter subtree level = osd']),
    );
    expect(lines('host')).toEqual(
      expect.arrayContaining(['mon osd min down reporters = 1', 'mon osd reporter subtree level = host']),
    );
  });

  it('gives a guest no more than where and with which key', () => {
    const text = guestConf(settings, '/g/keyring');
    expect(text).toContain('keyring = /g/keyring');
    expect(text).not.toMatch(/key = A/);
  });

  it('makes keys as Ceph encodes them', () => {
    const bytes = Buffer.from(newKey(1_500), 'base64');
    expect(bytes).toHaveLength(28);
    expect([bytes.readUInt16LE(0), bytes.readUInt32LE(2), bytes.readUInt32LE(6), bytes.readUInt16LE(10)]).toEqual([
      1, 1, 500_000_000, 16,
    ]);
    expect(keyringText({ entity: 'client.a', key: 'K', caps: { mon: 'profile rbd' } })).toBe(
      '[client.a]\n\tkey = K\n\tcaps mon = "profile rbd"\n',
    );
  });

  it('sizes memory and placement groups to the box', () => {
    expect(osdMemory(4 * gib, 2)).toBe(256 * 2 ** 20);
    expect(osdMemory(64 * gib, 2)).toBe(Math.floor(3.2 * gib));
    expect(osdMemory(1024 * gib, 2)).toBe(4 * gib);
    expect([2, 4, 8, 20, 4000].map((size) => fullRatios(size * gib).full)).toEqual([0.75, 0.87, 0.93, 0.95, 0.95]);
    expect(fullRatios(2 * gib)).toEqual({ nearfull: 0.65, backfillfull: 0.7, full: 0.75 });
    const small = daemonConf({ ...settings, osdMemory: 256 * 2 ** 20 }, cephPaths('/d'));
    expect(small).toContain('bluestore cache autotune = false');
    expect([2, 3, 8, 24].map((disks) => placementGroups(disks, 2))).toEqual([32, 64, 128, 512]);
  });
});

describe('disks', () => {
  let directory: string;
  const file = (name = 'disk') => join(directory, name);
  const wish = (more: object = {}) => ({ id: 'a', path: file(), size: 2 * gib, ...more });
  const none = new Set<string>();
  const put = async (bytes: Buffer, offset: number) => {
    const handle = await open(file(), 'r+');
    await handle.write(bytes, 0, bytes.length, offset);
    await handle.close();
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'croft-disks-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('makes a file where a size is given, and none otherwise', async () => {
    await rejectsWith(inspectDisk({ id: 'a', path: file() }, none), 'invalid-input');
    expect(await inspectDisk(wish(), none)).toMatchObject({ kind: 'file', size: 2 * gib });
    expect((await stat(file())).mode & 0o777).toBe(0o600);
  });

  it('refuses small ones, directories and relative paths', async () => {
    await rejectsWith(inspectDisk(wish({ size: gib }), none), 'invalid-input');
    await rejectsWith(inspectDisk({ id: 'a', path: directory }, none), 'invalid-input');
    await rejectsWith(inspectDisk({ id: 'a', path: 'disk' }, none), 'invalid-input');
  });

  it('refuses what holds anything, at its beginning or its end, unless it is named', async () => {
    await inspectDisk(wish(), none);
    for (const offset of [0, 1080, 2 * gib - 512]) {
      await put(Buffer.from('x'), offset);
      await rejectsWith(inspectDisk(wish(), none), 'in-use');
      await rejectsWith(inspectDisk(wish({ wipe: ['another'] }), none), 'in-use');
      expect(await inspectDisk(wish({ wipe: [file()] }), none)).toMatchObject({ size: 2 * gib });
      await wipeMarks(file(), 2 * gib);
      expect(await inspectDisk(wish(), none)).toMatchObject({ size: 2 * gib });
    }
  });

  it('may overwrite only those remains of Ceph that are ours', async () => {
    const uuid = '0b75e2bc-184d-48b3-b3a4-bc751f7a770a';
    await inspectDisk(wish(), none);
    await put(Buffer.from(`bluestore block device\n${uuid}\n`), 0);
    await rejectsWith(inspectDisk(wish(), none), 'in-use');
    expect(await inspectDisk(wish(), new Set([uuid]))).toMatchObject({ kind: 'file' });
  });

  it('says what is on a disk', () => {
    const head = (offset: number, bytes: string) => {
      const buffer = Buffer.alloc(70_000);
      buffer.write(bytes, offset, 'latin1');
      return buffer;
    };
    expect(whatIsOn(Buffer.alloc(70_000))).toBeUndefined();
    expect(whatIsOn(head(0, 'LUKS'))).toBe('an encrypted volume (LUKS)');
    expect(whatIsOn(head(1080, '\u0053\u00ef'))).toBe('an ext file system');
    expect(whatIsOn(head(5_000, 'x'))).toBe('data');
    expect(osdUuidOn(head(0, 'LUKS'))).toBeUndefined();
  });
});

describe('health in words', () => {
  const records: OsdRecord[] = [0, 1].map((number) => ({
    uuid: `u${number}`,
    path: `/d${number}`,
    number,
    size: gib,
    state: 'ready',
  }));
  const statusWith = (groups: Record<string, number>, more: object = {}): CephStatus => ({
    health: { status: 'HEALTH_OK', checks: {} },
    pgmap: {
      pgs_by_state: Object.entries(groups).map(([state_name, count]) => ({ state_name, count })),
      num_pgs: Object.values(groups).reduce((sum, count) => sum + count, 0),
      data_bytes: gib,
      ...more,
    },
  });
  const say = (status: CephStatus, up: number[], more: Partial<HealthInput> = {}) =>
    describeHealth({
      status,
      osds: up.map((value, osd) => ({ osd, uuid: `u${osd}`, up: value, in: 1 })),
      records,
      wished: new Set(['u0', 'u1']),
      replicas: 2,
      ...more,
    });

  it.each([
    ['all is well', statusWith({ 'active+clean': 32 }), [1, 1], 'ok', 'Data is 2×.', 1],
    [
      'a disk went down and the groups have not noticed',
      statusWith({ 'active+clean': 32 }),
      [1, 0],
      'degraded',
      'Data is 2×, one copy missing (osd.1 down), replace or bring back the disk.',
      0,
    ],
    [
      'it is being made again',
      statusWith(
        { 'active+undersized+degraded': 16, 'active+clean': 16 },
        { degraded_objects: 50, degraded_total: 200, recovering_bytes_per_sec: gib / 480 },
      ),
      [1, 1],
      'rebuilding',
      'Data is 2×, one copy of 50 % missing, back in ~4 min.',
      0,
    ],
    [
      'nothing is there',
      statusWith({ down: 8, 'active+clean': 24 }),
      [0, 0],
      'blocked',
      '25 % of the data cannot be reached (osd.0, osd.1 down): VMs that need it wait.',
      0,
    ],
    [
      'it has just begun',
      statusWith({ unknown: 32 }),
      [1, 1],
      'unknown',
      'The cluster has just been started; it is finding its data.',
      0,
    ],
  ] as const)('%s', (_, status, up, state, message, survives) => {
    expect(say(status, [...up])).toMatchObject({ state, message, survives });
  });

  it('tells disks apart', () => {
    const { disks } = say(statusWith({ 'active+clean': 32 }), [1, 0], { wished: new Set(['u1']) });
    expect(disks.map(({ name, state }) => [name, state])).toEqual([
      ['osd.0', 'leaving'],
      ['osd.1', 'down'],
    ]);
  });

  it('takes a dead disk for dispensable only when everything is served without it', () => {
    expect(allServed(statusWith({ 'active+undersized+degraded': 32 }))).toBe(true);
    for (const state of ['stale+active+clean', 'down', 'peering', 'active+recovery_unfound']) {
      expect(allServed(statusWith({ 'active+clean': 31, [state]: 1 }))).toBe(false);
    }
    expect(allServed(statusWith({ 'active+clean': 32 }, { unfound_objects: 1 }))).toBe(false);
  });

  it('does not believe figures that are older than what became of a disk', () => {
    const osds = [
      { osd: 0, uuid: 'u0', up: 1, in: 1, up_from: 10 },
      { osd: 1, uuid: 'u1', up: 1, in: 1, up_from: 20 },
    ];
    expect(isStale([{ reported_epoch: 20, acting: [0, 1] }], osds)).toBe(false);
    expect(isStale([{ reported_epoch: '19', acting: [0, 1] }], osds)).toBe(true);
    expect(isStale([{ reported_epoch: 19, acting: [0] }], osds)).toBe(false);
    expect(
      isStale(
        [{ reported_epoch: 30, acting: [0, 1] }],
        [osds[0] as (typeof osds)[0], { ...(osds[1] as (typeof osds)[1]), up: 0 }],
      ),
    ).toBe(true);
    expect(say(statusWith({ 'active+clean': 32 }), [1, 1], { stale: true })).toMatchObject({ state: 'rebuilding', survives: 0 });
  });

  it('knows when all daemons are of one release', () => {
    const version = (number: string, name: string) =>
      `ceph version ${number} (618f440892089921c3e944a991122ddc44e60516) ${name} (stable)`;
    const [old, young] = [version('16.2.15', 'pacific'), version('18.2.7', 'reef')];
    expect(releaseOf({ overall: { [old]: 4 } })).toBe('pacific');
    expect(releaseOf({ overall: { [old]: 1, [young]: 3 } })).toBeUndefined();
    expect(releaseOf({ overall: {} })).toBeUndefined();
    expect(allClean(statusWith({ 'active+clean': 31, 'active+clean+scrubbing': 1 }))).toBe(true);
    expect(allClean(statusWith({ 'active+clean': 31, 'active+undersized+degraded': 1 }))).toBe(false);
  });

  it('says times as people do', () => {
    expect([0.2, 80, 240, 7200].map(duration)).toEqual(['1 s', '80 s', '4 min', '2 h']);
  });
});
