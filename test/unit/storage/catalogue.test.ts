/** Well-known images: the addresses, the publishers' checksum files, and a whole import from a stand-in for all of them. */
import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../../appliance/host/exec.ts';
import { image } from '../../../appliance/resources/croft-kinds.ts';
import { addressesOf, catalogueImageNamed, imageCatalogue } from '../../../appliance/resources/image-catalogue.ts';
import { resolveCatalogue } from '../../../storage/images/catalogue.ts';
import { checksumOf } from '../../../storage/images/checksums.ts';
import { fetchFile } from '../../../storage/images/fetch.ts';
import { eventually } from '../../helpers/eventually.ts';
import { startStorageBox, type StorageBox } from '../../helpers/storage-box.ts';

describe('the catalogue', () => {
  it('has https addresses, and names and aliases that mean one image each', () => {
    const words = imageCatalogue.flatMap(({ name, aliases = [] }) => [name, ...aliases]);
    expect(new Set(words).size).toBe(words.length);
    for (const entry of imageCatalogue) {
      for (const address of Object.values(addressesOf(entry))) expect(address).toMatch(/^https:\/\/[a-z.-]+\/[\w./-]+$/);
      expect(entry.base.endsWith('/'), entry.name).toBe(true);
    }
    expect(catalogueImageNamed('fedora')?.name).toMatch(/^fedora-\d+$/);
    expect(catalogueImageNamed('debian-13')?.file).toMatch(/^debian-13-generic/);
  });
});

describe('checksumOf', () => {
  const a = 'a'.repeat(64);
  const b = 'b'.repeat(64);
  const long = 'c'.repeat(128);

  it('reads the styles in use', () => {
    expect(checksumOf(`${b}  other.qcow2\n${a}  disk.qcow2\n`, 'disk.qcow2')).toBe(`sha256:${a}`);
    expect(checksumOf(`${a} *disk.qcow2\r\n`, 'disk.qcow2')).toBe(`sha256:${a}`);
    expect(checksumOf(`${a.toUpperCase()}  ./sub/disk.qcow2`, 'disk.qcow2')).toBe(`sha256:${a}`);
    expect(checksumOf(`# disk.qcow2: 123 bytes\nSHA256 (disk.qcow2) = ${a}\n`, 'disk.qcow2')).toBe(`sha256:${a}`);
    const signed = `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSHA512 (disk.qcow2) = ${long}\n-----BEGIN PGP SIGNATURE-----\n`;
    expect(checksumOf(signed, 'disk.qcow2')).toBe(`sha512:${long}`);
    expect(checksumOf(`${long}\n`, 'disk.qcow2')).toBe(`sha512:${long}`);
    expect(checksumOf(`${a}  disk.qcow2\n${long}  disk.qcow2`, 'disk.qcow2')).toBe(`sha512:${long}`);
  });

  it('refuses what does not name the file, or says two things', () => {
    const refused = (text: string, message: RegExp) => expect(() => checksumOf(text, 'disk.qcow2')).toThrow(message);
    refused('', /do not name disk.qcow2/);
    refused(`${a}  disk.qcow2.old\n`, /do not name/);
    refused(`${a}  xdisk.qcow2\n`, /do not name/);
    refused(`${a}\n${b}\n`, /do not name/);
    refused(`${a.slice(1)}  disk.qcow2\n`, /do not name/);
    refused(`${a}  disk.qcow2\n${b}  disk.qcow2\n`, /different digests/);
    refused('<html><body>503</body></html>', /do not name/);
  });

  it('answers any text with a digest or a refusal', () => {
    const line = fc.oneof(fc.string(), fc.constantFrom(`${a}  disk.qcow2`, `SHA256 (x) = ${b}`, `${long} *disk.qcow2`, a));
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        try {
          expect(checksumOf(lines.join('\n'), 'disk.qcow2')).toMatch(/^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$/);
        } catch (error) {
          expect(error).toMatchObject({ code: 'download-failed' });
        }
      }),
    );
  });
});

describe('an image by name', () => {
  let root: string;
  let server: Server;
  let answers: Record<string, Buffer | string>;
  let box: StorageBox | undefined;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'croft-cat-'));
    answers = {};
    server = createServer((request, response) => {
      const body = answers[request.url ?? ''];
      response.writeHead(body === undefined ? 404 : 200).end(body);
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
  });
  afterEach(async () => {
    await box?.close();
    box = undefined;
    server.closeAllConnections();
    server.close();
    await rm(root, { recursive: true, force: true });
  });

  const mirror = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const path = '/cloud.debian.org/images/cloud/trixie/latest';
  const file = 'debian-13-generic-amd64.qcow2';
  const publish = async (digest?: string): Promise<string> => {
    const disk = join(root, 'disk.qcow2');
    await run(['qemu-img', 'create', '-q', '-f', 'qcow2', disk, '8M']);
    const bytes = await readFile(disk);
    const sum = digest ?? createHash('sha512').update(bytes).digest('hex');
    answers[`${path}/${file}`] = bytes;
    answers[`${path}/SHA512SUMS`] = `${'0'.repeat(128)}  debian-13-other.tar.xz\n${sum}  ${file}\n`;
    return sum;
  };
  const outcome = async (name: string, expected: 'Ready' | 'Failed') => {
    box = await startStorageBox(root, { catalogueMirror: mirror() });
    await box.store.create(image, { metadata: { name: 'd' }, spec: { source: { catalogue: name } } });
    return await eventually(
      async () => {
        const status = (await box?.store.get(image, 'd'))?.status;
        expect(status?.phase).toBe(expected);
        return status;
      },
      { timeout: 20_000 },
    );
  };

  it('is fetched with the digest its publisher gives, and keeps both', async () => {
    const sum = await publish();
    const status = await outcome('debian-13', 'Ready');
    expect(status?.virtualSize).toBe(8 * 2 ** 20);
    expect(status?.origin).toEqual({ url: `${mirror()}${path}/${file}`, checksum: `sha512:${sum}` });
  });

  it('is refused when its publisher says otherwise', async () => {
    await publish('f'.repeat(128));
    expect((await outcome('debian-13', 'Failed'))?.message).toMatch(/expected was sha512:ffff/);
  });

  it('is refused without a checksum file, and without its name in it', async () => {
    await publish();
    delete answers[`${path}/SHA512SUMS`];
    expect((await outcome('debian-13', 'Failed'))?.message).toMatch(/SHA512SUMS: the server answered 404/);
  });

  it('an unknown name says what there is', async () => {
    await expect(resolveCatalogue({ name: 'windows-95', workDir: root })).rejects.toThrow(/not known; there are debian-13/);
  });

  it('checksums never come over plain http', async () => {
    const plain = fetchFile({
      url: `${mirror()}/x`,
      file: join(root, 'x'),
      maxSize: 10,
      httpsOnly: true,
      allowOwnAddresses: true,
    });
    await expect(plain).rejects.toThrow(/leads to plain http/);
  });
});
