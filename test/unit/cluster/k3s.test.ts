import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { mountsBelow } from '../../../appliance/cluster/k3s-clean.ts';
import { k3sConfig, k3sUnit, type K3sPlan } from '../../../appliance/cluster/k3s-config.ts';
import { parseVersion, speaksOfThis } from '../../../appliance/cluster/k3s.ts';

const plan: K3sPlan = {
  role: 'first',
  nodeName: 'box-1',
  nodeIp: '192.0.2.1',
  dataDir: '/var/lib/rancher/k3s',
  kubeconfig: '/etc/rancher/k3s/k3s.yaml',
};

describe('k3sConfig', () => {
  test('the first server makes the cluster, small and with quick etcd timings', () => {
    const config = parse(k3sConfig(plan)) as Record<string, unknown>;
    expect(config).toMatchObject({
      'cluster-init': true,
      'node-name': 'box-1',
      'node-ip': '192.0.2.1',
      'write-kubeconfig-mode': '0600',
      disable: ['traefik', 'servicelb', 'local-storage', 'metrics-server'],
      'etcd-arg': ['heartbeat-interval=100', 'election-timeout=1000'],
    });
    expect(config).not.toHaveProperty('server');
  });

  test('an agent gets no flag that only servers have', () => {
    const config = k3sConfig({ ...plan, role: 'agent', token: 'K10x::server:s', joinUrl: 'https://192.0.2.2:6443' });
    expect(Object.keys(parse(config) as object).toSorted()).toEqual([
      'data-dir',
      'kube-proxy-arg',
      'node-ip',
      'node-name',
      'server',
      'token',
    ]);
  });

  test.each([
    [{ role: 'server' as const }, /joinUrl and token/],
    [{ role: 'server' as const, token: 't', joinUrl: 'http://192.0.2.2:6443' }, /joinUrl and token/],
    [{ nodeName: 'Box 1' }, /nodeName: "Box 1"/],
  ])('%o is refused', (change, message) => {
    expect(() => k3sConfig({ ...plan, ...change })).toThrow(message);
  });
});

test('the unit leaves pods alone when k3s stops', () => {
  const unit = k3sUnit({
    binary: '/usr/local/bin/k3s',
    command: 'server',
    configFile: '/etc/rancher/k3s/config.yaml',
    memoryHigh: 1,
  });
  expect(unit).toContain('KillMode=process\n');
  expect(unit).toContain('ExecStart=/usr/local/bin/k3s server --config /etc/rancher/k3s/config.yaml\n');
  expect(unit).toContain('MemoryHigh=1\n');
});

describe('parseVersion', () => {
  test('a release and the lab stand-in are told apart', () => {
    expect(parseVersion('k3s version v1.36.3+k3s1 (0123abcd)\ngo version go1.26.8')).toEqual({
      version: 'v1.36.3',
      standIn: false,
    });
    expect(parseVersion('Croft lab stand-in (not k3s) over Kubernetes v1.36.3')).toEqual({ version: 'v1.36.3', standIn: true });
  });
  test('anything else is refused', () => {
    expect(() => parseVersion('QEMU emulator version 7.2')).toThrow(/no k3s binary/);
  });
});

test('a node that was killed is Ready by its last word still: only what this k3s said counts, until Kubernetes misses it', () => {
  const startedAt = 100_700;
  expect(speaksOfThis(99_000, startedAt, 110_000)).toBe(false);
  expect(speaksOfThis(undefined, startedAt, 110_000)).toBe(false);
  expect(speaksOfThis(100_000, startedAt, 110_000)).toBe(true);
  expect(speaksOfThis(50_000, startedAt, 200_000)).toBe(true);
  expect(speaksOfThis(109_000, undefined, 110_000)).toBe(false);
});

const mountLine = (path: string) => `36 35 98:0 / ${path} rw,noatime shared:1 - tmpfs tmpfs rw`;

test('mountsBelow: only the prefixes, latest first, escapes undone', () => {
  const mountinfo = ['/', '/run/k3s', '/run/k3s/a', '/run/k3s/a/b\\040c', '/run/k3sx/d'].map(mountLine).join('\n');
  expect(mountsBelow(mountinfo, ['/run/k3s/'])).toEqual(['/run/k3s/a/b c', '/run/k3s/a']);
});
