import { expect, test } from 'vitest';
import { announcement, type AnnouncementFacts } from '../../../appliance/install/announcement.ts';
import { debianRelease, packages, packagesFor } from '../../../appliance/install/packages.ts';

test('every package stands once in the list, with a reason', () => {
  expect(new Set(packages.map((entry) => entry.name)).size).toBe(packages.length);
  expect(packages.filter((entry) => entry.why.length < 8)).toEqual([]);
});

test('starting brings what the tiny image needs, but nothing of the tests', () => {
  const needs = new Set(packagesFor('run').map((entry) => entry.needed));
  expect([...needs].sort()).toEqual(['build-image', 'run']);
});

test('the release is read from os-release', () => {
  expect(debianRelease('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n')).toBe('12');
  expect(debianRelease('ID=debian\nVERSION_ID="13"\n')).toBe('13');
  expect(debianRelease('ID=debian\nVERSION_ID="11"\n')).toBeUndefined();
  expect(debianRelease('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n')).toBeUndefined();
  expect(debianRelease('')).toBeUndefined();
});

const facts: AnnouncementFacts = {
  plan: {
    release: '12',
    missing: packagesFor('run').slice(0, 2),
    names: ['qemu-system-x86', 'qemu-utils'],
    apt: { fresh: ['a', 'b', 'c'], upgraded: ['d'], removed: [], downloadBytes: 62_200_000, diskBytes: 277_000_000 },
  },
  install: true,
  root: true,
  dataDir: '/var/lib/croft',
  runDir: '/run/croft',
  cacheDir: '/c',
  listen: '127.0.0.1:8440',
  ovs: 'own',
  ipForward: '0',
  settings: ['CROFT_ACCEL=tcg'],
};

test('the announcement is one block with packages, directories, network and the way back', () => {
  expect(announcement(facts)).toBe(`Croft changes this on the machine:
  Debian packages   3 new, 1 updated: 62 MB to download, 277 MB on disk; their services are not started:
                    qemu-system-x86 qemu-utils
  Directories       /var/lib/croft (what must survive), /run/croft (sockets), /c (cache)
  Network           bridge croft0 on an Open vSwitch of Croft's own (/run/croft/ovs); nftables table croft
  Kernel setting    net.ipv4.ip_forward 0 → 1 while Croft serves a NAT network
  Address           127.0.0.1:8440
  Settings          CROFT_ACCEL=tcg
To undo all of it: npm run uninstall -- --purge   To install nothing: npm start -- --no-install`);
});

test.each<[string, Partial<AnnouncementFacts>, string]>([
  ['nothing is missing', { plan: { release: '13', missing: [], names: [] } }, 'Debian packages   none, all are installed'],
  ['--no-install', { install: false }, 'Debian packages   none (--no-install), though 2 are missing:'],
  ['not root', { root: false }, 'without root, VMs get user-mode networking'],
  ['no package lists yet', { plan: { ...facts.plan, apt: undefined } }, 'up to 126 new: about 62 MB to download'],
  ['another system', { plan: { ...facts.plan, release: undefined } }, 'this is not Debian 12 or 13'],
  ['forwarding is on', { ipForward: '1' }, 'net.ipv4.ip_forward is 1 already'],
])('%s', (_name, change, words) => {
  expect(announcement({ ...facts, ...change })).toContain(words);
});
