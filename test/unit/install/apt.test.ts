import { expect, test } from 'vitest';
import { needsUpdate, parseInstalled, parseInstalledSize, parseSimulation, parseUris } from '../../../appliance/install/apt.ts';

test('a simulation tells new, updated and removed packages apart', () => {
  const output = [
    'Reading package lists...',
    'NOTE: This is only a simulation!',
    'Inst libgcc-s1 [12.2.0-14] (12.2.0-14+deb12u1 Debian:12.11/stable [amd64])',
    'Inst mmdebstrap (1.3.5-7 Debian:12.11/stable [all])',
    'Remv mawk [1.3.4]',
    'Purg qemu-utils [1:7.2]',
    'Conf mmdebstrap (1.3.5-7 Debian:12.11/stable [all])',
  ].join('\n');
  expect(parseSimulation(output)).toEqual({ fresh: ['mmdebstrap'], upgraded: ['libgcc-s1'], removed: ['mawk', 'qemu-utils'] });
});

test('download size is the sum of what apt would fetch', () => {
  const output = [
    "'http://deb.debian.org/debian/pool/main/libt/libtpms/libtpms0_0.9.2-3.1%2bdeb12u1_amd64.deb' libtpms0_0.9.2-3.1+deb12u1_amd64.deb 319440 MD5Sum:af867da51e190b3c1d9af66e9e6f68bc",
    "'http://deb.debian.org/debian/pool/main/s/swtpm/swtpm_0.7.1-1.3_amd64.deb' swtpm_0.7.1-1.3_amd64.deb 25132 MD5Sum:77c0",
    '',
  ].join('\n');
  expect(parseUris(output)).toBe(319_440 + 25_132);
  expect(parseUris('')).toBe(0);
});

test('size on disk is the sum of Installed-Size, which is in KiB', () => {
  expect(parseInstalledSize('Package: a\nInstalled-Size: 3\n\nPackage: b\nInstalled-Size: 40\n')).toBe(43 * 1024);
});

test('a package whose settings were kept is not installed', () => {
  expect(parseInstalled('qemu-utils installed\nnftables config-files\nfdisk not-installed\n')).toEqual(new Set(['qemu-utils']));
});

test.each([
  ['Unable to locate package qemu-utils', true],
  ["Package 'ovmf' has no installation candidate", true],
  ['Failed to fetch http://deb.debian.org/x.deb  404  Not Found [IP: 1.2.3.4 80]', true],
  ['Unable to correct problems, you have held broken packages.', false],
])('%s: fetching the lists helps: %s', (message, helps) => {
  expect(needsUpdate(message)).toBe(helps);
});
