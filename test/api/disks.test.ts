import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { storagePool } from '../../appliance/resources/croft-kinds.ts';
import { editStatus } from '../../appliance/store/edit.ts';
import { startApi, type Harness } from './harness.ts';

describe('/v1/disks', () => {
  let api: Harness;
  beforeEach(async () => {
    api = await startApi();
    const disks = [{ path: '/dev/sdb' }, { path: '/dev/sdc' }, { path: '/srv/file', size: 2 ** 32 }];
    const made = await api.call('POST', '/v1/pools', { as: 'admin', body: { name: 'safe', driver: 'rbd', replicas: 2, disks } });
    expect(made.status).toBe(201);
  });
  afterEach(() => api.stop());

  const wishes = async () => (await api.store.get(storagePool, 'safe'))?.spec.disks ?? [];
  const named = (path: string) => encodeURIComponent(path);

  it('are added, replaced and taken out, never below the copies', async () => {
    expect((await api.call('POST', '/v1/disks', { as: 'operator', body: { path: '/dev/sdd' } })).status).toBe(403);
    expect((await api.call('POST', '/v1/disks', { as: 'admin', body: { path: '/dev/sdb' } })).status).toBe(409);
    const [first] = await wishes();
    const replaced = await api.call('POST', `/v1/disks/${named('/dev/sdb')}/replace`, {
      as: 'admin',
      body: { path: '/dev/sde', wipe: ['S1'] },
    });
    expect(replaced.body).toMatchObject({ kind: 'disk', path: '/dev/sde', state: 'pending' });
    expect((await wishes()).map(({ path }) => path)).toEqual(['/dev/sdc', '/srv/file', '/dev/sde']);
    expect((await wishes()).some(({ id }) => id === first?.id)).toBe(false);
    expect((await api.call('DELETE', `/v1/disks/${named('/srv/file')}`, { as: 'admin', any: true })).status).toBe(204);
    const last = await api.call('DELETE', `/v1/disks/${named('/dev/sde')}`, { as: 'admin', any: true });
    expect(last.status).toBe(409);
    expect(last.body).toMatchObject({ detail: expect.stringContaining('keeps 2 copies and has 2 disks') });
  });

  it('blink on demand, for a while; a file cannot', async () => {
    const locate = (path: string, body: object) => api.call('POST', `/v1/disks/${named(path)}/locate`, { as: 'operator', body });
    expect((await locate('/dev/sdb', { seconds: 30 })).status).toBe(200);
    const until = Date.parse((await wishes())[0]?.locateUntil ?? '');
    expect(until).toBeGreaterThan(Date.now() + 20_000);
    expect(until).toBeLessThan(Date.now() + 31_000);
    expect((await locate('/dev/sdb', { seconds: 0 })).status).toBe(200);
    expect((await wishes())[0]?.locateUntil).toBeUndefined();
    expect((await locate('/srv/file', {})).body).toMatchObject({ detail: expect.stringContaining('it has no light') });
    expect((await locate('/dev/sdb', { seconds: 4000 })).status).toBe(400);
  });

  it('stand in /metrics with their pool, and in the pool’s health how its copies come back', async () => {
    const [disk] = await wishes();
    await editStatus(api.store, storagePool, { name: 'safe' }, (draft) => {
      draft.status = {
        capacity: 100,
        health: {
          state: 'rebuilding',
          message: 'one copy missing',
          survives: 0,
          recovery: { missing: 0.25, bytesPerSecond: 1000, seconds: 9 },
          disks: [
            {
              id: disk?.id as string,
              name: 'osd.0',
              path: '/dev/sdb',
              state: 'up',
              size: 50,
              smart: { passed: false, temperature: 61, wear: 97 },
              warning: 'The disk says that it is failing: replace it.',
            },
          ],
        },
      };
    });
    const text = String((await api.call('GET', '/metrics', { as: 'viewer' })).body);
    for (const line of [
      'croft_pool_bytes{pool="safe",kind="capacity"} 100',
      'croft_pool_health{pool="safe",state="rebuilding"} 1',
      'croft_pool_survives_disks{pool="safe"} 0',
      'croft_pool_missing_copies_ratio{pool="safe"} 0.25',
      'croft_pool_recovery_bytes_per_second{pool="safe"} 1000',
      'croft_disk_state{pool="safe",disk="osd.0",path="/dev/sdb",state="up"} 1',
      'croft_disk_smart_passed{pool="safe",disk="osd.0",path="/dev/sdb"} 0',
      'croft_disk_temperature_celsius{pool="safe",disk="osd.0",path="/dev/sdb"} 61',
      'croft_disk_wear_ratio{pool="safe",disk="osd.0",path="/dev/sdb"} 0.97',
    ])
      expect(text).toContain(line);
    expect((await api.call('GET', '/v1/pools/safe', { as: 'viewer' })).body).toMatchObject({
      health: { recovery: { missing: 0.25, seconds: 9 } },
    });
    expect((await api.call('GET', '/v1/disks/osd.0', { as: 'viewer' })).body).toMatchObject({
      smart: { temperature: 61 },
      warning: 'The disk says that it is failing: replace it.',
    });
  });
});
