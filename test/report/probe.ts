/** Versions of the programs the tests meet on this machine, and what this machine cannot show at all. */
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { run } from '../../appliance/host/exec.ts';
import type { KnownComponent } from './components.ts';

/** The first number in what a program prints about itself; undefined where it isn't installed. */
async function versionOf(argv: [string, ...string[]]): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await run(argv, { timeout: 10_000, okCodes: [0, 1] });
    return /\d+(?:\.\d+)+\w*/.exec(`${stdout} ${stderr}`)?.[0];
  } catch {
    // Not installed, or too old to answer: the table shows no version.
    return undefined;
  }
}

const notCalled = 'no test of this run used it';

/** The rows every table has, in its order. */
export async function knownComponents(): Promise<KnownComponent[]> {
  const programs: [component: string, argv: [string, ...string[]]][] = [
    ['QEMU', ['qemu-system-x86_64', '--version']],
    ['qemu-img', ['qemu-img', '--version']],
    ['Open vSwitch', ['ovs-vswitchd', '--version']],
    ['dnsmasq', ['dnsmasq', '--version']],
    ['nftables', ['nft', '--version']],
    ['Ceph', ['ceph', '--version']],
    ['Chromium', ['chromium', '--version']],
  ];
  const versions = await Promise.all(programs.map(([, argv]) => versionOf(argv)));
  const rows = programs.map(([component], index): KnownComponent => {
    const version = versions[index];
    return version ? { component, version, otherwise: notCalled } : { component, otherwise: 'not installed' };
  });
  return [
    { component: 'Node.js', version: process.versions.node, otherwise: '' },
    { component: 'Linux', version: release(), otherwise: '' },
    ...rows,
    {
      component: 'KVM',
      otherwise: existsSync('/dev/kvm') ? 'guests ran under TCG; see the accelerator probe' : 'no /dev/kvm here',
    },
    { component: 'Kubernetes', otherwise: 'not run here: npm run test:cluster' },
    { component: 'ISO, appliance', otherwise: 'not run here: npm run test:iso' },
    { component: 'real hardware', otherwise: 'no test has run on any' },
  ];
}
