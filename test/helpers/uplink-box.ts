/**
 * The network of a box as a process of its own, in the network namespace it is started in: for tests that need two
 * boxes. Reads one JSON request a line, answers one line. `{"guests":[{name,network,mac}],…}` is the first argument.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { messageOf } from '../../appliance/errors.ts';
import { HostChanges } from '../../appliance/host/host-changes.ts';
import { silentLogger } from '../../appliance/host/logger.ts';
import { newId, tapName } from '../../appliance/resources/identity.ts';
import { NetworkEngine } from '../../network/engine.ts';
import { createNetworkHost } from '../../network/host.ts';
import { OvsDriver } from '../../network/ovs/driver.ts';
import { findSwitch, type SwitchServer } from '../../network/ovs/server.ts';
import type { UplinkWish } from '../../network/uplinks/admit.ts';
import type { Segment } from '../../network/wish.ts';
import { FakeGuest } from './fake-guest.ts';

export type BoxSetup = { segments: Segment[]; guests: { namespace: string; network: string; mac: string }[] };
export type BoxRequest = { uplinks: UplinkWish[] } | { members: string } | { end: true };

async function main({ segments, guests }: BoxSetup): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'croft-u-'));
  chmodSync(directory, 0o711);
  const logger = silentLogger();
  const server = (await findSwitch('own', join(directory, 'ovs'), logger)) as SwitchServer;
  const driver = new OvsDriver(server, logger);
  await driver.open();
  const host = await createNetworkHost({ data: directory, run: join(directory, 'run') }, logger);
  const engine = new NetworkEngine({ driver, host: { ...host, ensureTap: async () => {}, deleteTaps: async () => {} }, logger });
  await engine.start();
  engine.setSegments(segments);
  await engine.converge();
  const started: FakeGuest[] = [];
  for (const { namespace, network, mac } of guests) {
    const vmId = newId();
    const guest = new FakeGuest(namespace, tapName(vmId, 0), mac);
    started.push(guest);
    await guest.start();
    await engine.plug({ vmId, index: 0, nic: 'net', mac, network, uid: undefined, linkUp: true });
  }
  const answer = async (request: BoxRequest): Promise<unknown> => {
    if ('uplinks' in request) {
      engine.setUplinks(request.uplinks);
      await engine.converge();
      return { socket: server.socket };
    }
    if ('members' in request) return (await engine.members()).get(request.members) ?? [];
    for (const guest of started) await guest.stop();
    engine.close();
    await engine.dismantle();
    await driver.remove();
    await driver.close();
    await server.stop();
    const left = await new HostChanges(join(directory, 'host-changes.json')).restoreAll();
    rmSync(directory, { recursive: true, force: true });
    return left;
  };
  process.stdout.write('{"ready":true}\n');
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line) as BoxRequest;
    const result = await answer(request).catch((error: unknown) => ({ error: messageOf(error) }));
    process.stdout.write(`${JSON.stringify(result)}\n`);
    if ('end' in request) break;
  }
}

await main(JSON.parse(process.argv[2] ?? '{}') as BoxSetup);
