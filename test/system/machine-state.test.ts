/** The comparison that proves "the machine is as it was", on a network namespace of its own. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../appliance/host/exec.ts';
import { removeNetwork } from '../../appliance/install/host-network.ts';
import { machineState, stateDifferences } from '../helpers/machine-state.ts';

const namespace = `croft-ms-${process.pid}`;
const inside = (...argv: string[]) => run(['ip', 'netns', 'exec', namespace, ...argv]);

describe.skipIf(process.getuid?.() !== 0)('machine state', () => {
  beforeEach(async () => {
    await run(['ip', 'netns', 'add', namespace]);
    await run(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
  });
  afterEach(async () => {
    await run(['ip', 'netns', 'delete', namespace]);
  });

  test('nothing done, nothing differs', async () => {
    const scope = { namespace, programs: [] };
    expect(stateDifferences(await machineState(scope), await machineState(scope))).toEqual([]);
  });

  test('every aspect is seen, and gone again when undone', async () => {
    const scope = { namespace, programs: [] };
    const before = await machineState(scope);
    await inside('ip', 'tuntap', 'add', 'ct0123456789n0', 'mode', 'tap');
    await inside('ip', 'link', 'set', 'ct0123456789n0', 'up');
    await inside('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'ct0123456789n0');
    await inside('ip', 'rule', 'add', 'from', '192.0.2.0/24', 'table', '77');
    await inside('nft', 'add', 'table', 'inet', 'croft');
    await inside('sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward');
    const aspects = new Set(stateDifferences(before, await machineState(scope)).map((line) => line.split(':')[0]));
    expect([...aspects]).toEqual(expect.arrayContaining(['links', 'addresses', 'rules', 'firewall', 'settings']));
    await inside('ip', 'link', 'delete', 'ct0123456789n0');
    await inside('ip', 'rule', 'delete', 'from', '192.0.2.0/24', 'table', '77');
    await inside('nft', 'delete', 'table', 'inet', 'croft');
    await inside('sh', '-c', 'echo 0 >/proc/sys/net/ipv4/ip_forward');
    expect(stateDifferences(before, await machineState(scope))).toEqual([]);
  });

  test('removing the network takes taps and tables of ours, nothing of others', async () => {
    const scope = { namespace, programs: [] };
    await inside('ip', 'link', 'add', 'mine0', 'type', 'dummy').catch(() =>
      inside('ip', 'tuntap', 'add', 'mine0', 'mode', 'tap'),
    );
    await inside('nft', 'add', 'table', 'inet', 'mine');
    const before = await machineState(scope);
    await inside('ip', 'tuntap', 'add', 'ct0123456789n0', 'mode', 'tap');
    await inside('nft', 'add', 'table', 'inet', 'croft');
    expect(await removeNetwork([], ['ip', 'netns', 'exec', namespace])).toEqual([]);
    expect(stateDifferences(before, await machineState(scope))).toEqual([]);
  });
});
