import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { uplink } from '../../appliance/resources/uplink.ts';
import { startApi, type Harness } from './harness.ts';

describe('/v1/uplinks', () => {
  let api: Harness;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(() => api.stop());

  it('are made, changed and taken away by administrators', async () => {
    const body = { name: 'lan', interfaces: ['eth1', 'eth2'], mode: 'lacp', vlans: [10, 20] };
    expect((await api.call('POST', '/v1/uplinks', { as: 'operator', body })).status).toBe(403);
    const made = await api.call('POST', '/v1/uplinks', { as: 'admin', body });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ kind: 'uplink', ...body, state: 'pending', members: [] });
    const changed = await api.call('PATCH', '/v1/uplinks/lan', { as: 'admin', any: true, body: { vlans: null, mtu: 9000 } });
    expect(changed.body).toMatchObject({ mtu: 9000, interfaces: ['eth1', 'eth2'] });
    expect(changed.body).not.toHaveProperty('vlans');
    expect((await api.call('GET', '/v1/uplinks', { as: 'viewer' })).body).toMatchObject({ items: [{ name: 'lan' }] });
    expect((await api.call('DELETE', '/v1/uplinks/lan', { as: 'admin', any: true })).status).toBe(204);
  });

  it('name what does not fit together', async () => {
    const refused = await api.call('POST', '/v1/uplinks', {
      as: 'admin',
      body: { name: 'lan', interfaces: ['eth1'], access: 5, native: 6 },
    });
    expect(refused.status).toBe(400);
    expect(refused.body).toMatchObject({ errors: [{ pointer: '/access' }] });
    const manifest = { kind: 'uplink', name: 'lan', interfaces: ['eth1'] };
    expect((await api.call('POST', '/v1/apply', { as: 'operator', body: manifest })).status).toBe(403);
    expect((await api.call('POST', '/v1/apply', { as: 'admin', body: manifest })).body).toMatchObject({
      items: [{ result: 'created' }],
    });
  });

  it('keep what was confirmed last until a change is confirmed', async () => {
    const create = await api.call('POST', '/v1/uplinks?confirmWithin=60', {
      as: 'admin',
      body: { name: 'lan', interfaces: ['eth1'] },
    });
    expect(Date.parse((create.body as { confirmBefore: string }).confirmBefore)).toBeGreaterThan(Date.now());
    expect((await api.call('POST', '/v1/uplinks/lan/confirm', { as: 'admin' })).body).not.toHaveProperty('confirmBefore');
    expect((await api.call('POST', '/v1/uplinks/lan/confirm', { as: 'admin' })).status).toBe(409);
    for (const nic of ['eth2', 'eth3']) {
      await api.call('PATCH', '/v1/uplinks/lan?confirmWithin=60', { as: 'admin', any: true, body: { interfaces: [nic] } });
    }
    const stored = await api.store.get(uplink, 'lan');
    expect(JSON.parse(stored?.metadata.annotations?.['croft.io/spec-before'] ?? '')).toEqual({ interfaces: ['eth1'] });
  });

  it('undo by themselves what moves the addresses that people come by, unless it is confirmed', async () => {
    const body = { name: 'lan', interfaces: ['eth0'], moveAddresses: true };
    const deadline = ({ body: { confirmBefore } }: { body: Record<string, unknown> }) =>
      (Date.parse(String(confirmBefore)) - Date.now()) / 1000;
    const made = deadline(await api.call('POST', '/v1/uplinks', { body }));
    expect([made > 100, made <= 120]).toEqual([true, true]);
    await api.call('POST', '/v1/uplinks/lan/confirm');
    const patch = (change: object, query = '') => api.call('PATCH', `/v1/uplinks/lan${query}`, { any: true, body: change });
    expect(deadline(await patch({ mtu: 1400 }))).toBeGreaterThan(100);
    await api.call('POST', '/v1/uplinks/lan/confirm');
    expect(deadline(await patch({ moveAddresses: null }, '?confirmWithin=20'))).toBeLessThanOrEqual(20);
    expect(JSON.parse((await api.store.get(uplink, 'lan'))?.metadata.annotations?.['croft.io/spec-before'] ?? '')).toMatchObject({
      moveAddresses: true,
    });
    await api.call('POST', '/v1/uplinks/lan/confirm');
    await api.call('POST', '/v1/apply', { body: { kind: 'uplink', ...body } });
    expect(deadline(await api.call('GET', '/v1/uplinks/lan'))).toBeGreaterThan(100);
    const tagged = await api.call('POST', '/v1/uplinks', { body: { ...body, name: 'wan', vlans: [5] } });
    expect(tagged).toMatchObject({ status: 400, body: { errors: [{ pointer: '/moveAddresses' }] } });
  });
});
