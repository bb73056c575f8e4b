/** The switch driver on a real Open vSwitch of its own, in a network namespace. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../appliance/host/logger.ts';
import { OvsDriver } from '../../network/ovs/driver.ts';
import { findSwitch, type SwitchServer } from '../../network/ovs/server.ts';
import { listTaps } from '../../network/links.ts';
import { deleteTaps, ensureTap } from '../../network/taps.ts';
import { describeSwitchDriverContract } from '../contract/switch-driver.ts';
import { inside, namespacesMissing, runInside } from '../helpers/netns.ts';

const missing = namespacesMissing();

describe.skipIf(inside || missing !== undefined)('Open vSwitch', () => {
  it('passes the contract of switch drivers', { timeout: 180_000 }, async () => {
    const output = await runInside(fileURLToPath(import.meta.url), 170_000);
    expect(output).toContain('passed');
  });
});

describe.runIf(inside)('inside', () => {
  // Outside, this block is read but not run.
  const directory = inside ? mkdtempSync(join(tmpdir(), 'croft-s-')) : '';
  let server: SwitchServer;

  beforeAll(async () => {
    server = (await findSwitch('own', join(directory, 'ovs'), silentLogger())) as SwitchServer;
  });

  afterAll(async () => {
    await server?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  it('makes taps for a user, changes them in place, and removes them', async () => {
    const wish = { name: 'ct0123456789n0', user: 1_900_000_001, mtu: 1400, up: true };
    await ensureTap(wish);
    const made = (await listTaps()).find((link) => link.name === wish.name);
    expect(made).toMatchObject({ mtu: 1400, up: true, tap: { user: wish.user } });
    await ensureTap({ ...wish, mtu: 1500, up: false });
    expect((await listTaps()).find((link) => link.name === wish.name)).toMatchObject({
      mtu: 1500,
      up: false,
      index: made?.index,
    });
    await ensureTap({ ...wish, user: 1_900_000_002 });
    expect((await listTaps()).find((link) => link.name === wish.name)?.tap?.user).toBe(1_900_000_002);
    await deleteTaps([wish.name, 'ct0123456789n1']);
    expect((await listTaps()).map((link) => link.name)).not.toContain(wish.name);
  });

  describeSwitchDriverContract('ovs', async () => {
    const driver = new OvsDriver(server, silentLogger());
    await driver.open();
    return driver;
  });
});
