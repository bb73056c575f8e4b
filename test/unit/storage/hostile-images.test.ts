/** The known attacks by image files, made with the real tools and fed to our reader and to the confined conversion. */
import { chown, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { assert, asyncProperty, constantFrom, uint8Array } from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isCroftError } from '../../../appliance/errors.ts';
import { run } from '../../../appliance/host/exec.ts';
import { confined, conversionUid, convertImage } from '../../../storage/images/convert.ts';
import { inspect, inspectImage } from '../../../storage/images/inspect.ts';

const mib = 2 ** 20;
let root: string;
const at = (name: string): string => join(root, name);
const qemuImg = (...args: string[]) => run(['qemu-img', ...args], { cwd: root });

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'croft-hostile-'));
  await qemuImg('create', '-q', '-f', 'qcow2', 'flat.qcow2', '8M');
  await run(['qemu-io', '-c', 'write -P 3 0 1M', at('flat.qcow2')]);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const refused = async (file: string, why: RegExp): Promise<void> => {
  const error = await inspectImage(at(file)).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(isCroftError(error, 'image-refused'), `${file}: ${String(error)}`).toBe(true);
  expect(String(error)).toMatch(why);
};
/** A copy of flat.qcow2 with some header bytes changed. */
const forged = async (name: string, edit: (bytes: Buffer) => void): Promise<string> => {
  const bytes = await readFile(at('flat.qcow2'));
  edit(bytes);
  await writeFile(at(name), bytes);
  return name;
};

describe('inspectImage', () => {
  it('reads what is sound', async () => {
    expect(await inspectImage(at('flat.qcow2'))).toEqual({ format: 'qcow2', virtualSize: 8 * mib });
    await qemuImg('create', '-q', '-f', 'qcow2', '-o', 'compat=0.10', 'old.qcow2', '8M');
    expect(await inspectImage(at('old.qcow2'))).toEqual({ format: 'qcow2', virtualSize: 8 * mib });
    await qemuImg('create', '-q', '-f', 'qcow2', '-o', 'extended_l2=on,compression_type=zstd', 'new.qcow2', '8G');
    expect(await inspectImage(at('new.qcow2'))).toEqual({ format: 'qcow2', virtualSize: 8192 * mib });
    for (const subformat of ['monolithicSparse', 'streamOptimized']) {
      await qemuImg('convert', '-f', 'qcow2', '-O', 'vmdk', '-o', `subformat=${subformat}`, 'flat.qcow2', `${subformat}.vmdk`);
      expect(await inspectImage(at(`${subformat}.vmdk`))).toEqual({ format: 'vmdk', virtualSize: 8 * mib });
    }
    await qemuImg('convert', '-f', 'qcow2', '-O', 'raw', 'flat.qcow2', 'disk.raw');
    expect(await inspectImage(at('disk.raw'))).toEqual({ format: 'raw', virtualSize: 8 * mib });
    await writeFile(at('disk.raw.gz'), gzipSync(Buffer.alloc(mib)));
    expect(await inspectImage(at('disk.raw.gz'))).toEqual({ format: 'gzip' });
  });

  it('refuses a qcow2 that reads another file', async () => {
    await qemuImg('create', '-q', '-f', 'qcow2', '-u', '-b', '/etc/passwd', '-F', 'raw', 'backing.qcow2', '8M');
    await refused('backing.qcow2', /backing file/);
    await qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${at('outside.raw')}`, 'data.qcow2', '8M');
    await refused('data.qcow2', /another file|data file/);
    // The bit cleared, the name left: not fully understood is refused too.
    const bytes = await readFile(at('data.qcow2'));
    bytes.writeBigUInt64BE(0n, 72);
    await writeFile(at('data2.qcow2'), bytes);
    await refused('data2.qcow2', /data file/);
  });

  it('refuses features and sizes it does not know', async () => {
    await refused(await forged('bits.qcow2', (bytes) => bytes.writeBigUInt64BE(1n << 40n, 72)), /unknown features/);
    await refused(await forged('corrupt.qcow2', (bytes) => bytes.writeBigUInt64BE(2n, 72)), /corrupt/);
    await refused(await forged('huge.qcow2', (bytes) => bytes.writeBigUInt64BE(2n ** 60n, 24)), /1 EiB|can be|PiB/);
    await refused(await forged('l1.qcow2', (bytes) => bytes.writeUInt32BE(2 ** 31, 36)), /L1 entries/);
    await refused(await forged('cluster.qcow2', (bytes) => bytes.writeUInt32BE(63, 20)), /cluster size/);
    await refused(await forged('version.qcow2', (bytes) => bytes.writeUInt32BE(9, 4)), /version 9/);
    await refused(await forged('crypt.qcow2', (bytes) => bytes.writeUInt32BE(1, 32)), /encrypted/);
    await forged('short.qcow2', () => undefined);
    await truncate(at('short.qcow2'), 65_536);
    await refused('short.qcow2', /cut off/);
  });

  it('refuses every VMDK that names other files', async () => {
    await writeFile(
      at('flat.vmdk'),
      '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 8 FLAT "/etc/passwd" 0\n',
    );
    await refused('flat.vmdk', /names its data by file names/);
    const sparse = await readFile(at('monolithicSparse.vmdk'));
    const withDescriptor = async (name: string, edit: (text: string) => string): Promise<string> => {
      const bytes = Buffer.from(sparse);
      const text = bytes.toString('latin1', 512, 512 + 20 * 512).replace(/\0.*$/s, '');
      bytes.fill(0, 512, 512 + 20 * 512);
      bytes.write(edit(text), 512, 'latin1');
      await writeFile(at(name), bytes);
      return name;
    };
    await refused(
      await withDescriptor('e1.vmdk', (text) => text.replace(/RW \d+ SPARSE "[^"]*"/, 'RW 8 FLAT "/etc/passwd" 0')),
      /extents/,
    );
    await refused(
      await withDescriptor('e2.vmdk', (text) => text.replace(/(RW \d+ SPARSE "[^"]*")/, '$1\nRW 8 FLAT "/etc/passwd" 0')),
      /extents/,
    );
    await refused(
      await withDescriptor('e3.vmdk', (text) => text.replace('monolithicSparse', 'monolithicFlat')),
      /of type monolithicFlat/,
    );
    await refused(await withDescriptor('e4.vmdk', (text) => `${text}\nparentFileNameHint="/etc/passwd"\n`), /delta/);
    const wrapper = Buffer.from(sparse);
    wrapper.writeBigUInt64LE(0n, 12);
    await writeFile(at('wrapper.vmdk'), wrapper);
    await refused('wrapper.vmdk', /no capacity/);
  });

  it('refuses formats that would be garbage as raw', async () => {
    await qemuImg('create', '-q', '-f', 'vdi', 'x.vdi', '8M');
    await refused('x.vdi', /VDI/);
    await qemuImg('create', '-q', '-f', 'vhdx', 'x.vhdx', '8M');
    await refused('x.vhdx', /VHDX/);
    await writeFile(at('empty'), '');
    await refused('empty', /empty/);
  });

  it('answers any bytes with a format or a refusal, never otherwise', async () => {
    const magic = constantFrom('QFI\xfb\0\0\0\x03', 'QFI\xfb\0\0\0\x02', 'KDMV\x01\0\0\0', '# Disk DescriptorFile', '');
    await assert(
      asyncProperty(magic, uint8Array({ maxLength: 2048 }), async (start, rest) => {
        const bytes = Buffer.concat([Buffer.from(start, 'latin1'), rest]);
        const reader = {
          size: bytes.length,
          read: async (offset: number, length: number) => bytes.subarray(offset, offset + length),
        };
        const result = await inspect(reader).catch((error: unknown) => {
          if (!isCroftError(error, 'image-refused')) throw error;
          return undefined;
        });
        // Random bytes behind a qcow2 or VMDK signature never pass.
        if (result && result.format !== 'raw') expect(['gzip', 'xz', 'zstd']).toContain(result.format);
      }),
      { numRuns: 500 },
    );
  });
});

describe('convertImage', () => {
  let round = 0;
  const convert = async (name: string, maxSize = 64 * mib): Promise<string> => {
    const input = at(`in-${++round}`);
    await run(['cp', at(name), input]);
    const output = at(`out-${round}.qcow2`);
    await convertImage({ input, workDir: at(`work-${round}`), output, maxSize });
    return output;
  };
  const holds = async (file: string): Promise<boolean> => {
    const { stdout } = await run(['qemu-io', '-r', '-c', 'read -P 3 0 1M', '-c', 'read -P 0 1M 7M', file]);
    return !stdout.includes('verification failed');
  };

  it('flattens every sound format, compressed or not', async () => {
    for (const name of ['flat.qcow2', 'monolithicSparse.vmdk', 'streamOptimized.vmdk', 'disk.raw']) {
      const output = await convert(name);
      expect(await inspectImage(output)).toEqual({ format: 'qcow2', virtualSize: 8 * mib });
      expect(await holds(output), name).toBe(true);
    }
    await run(['gzip', '-k', at('flat.qcow2')]);
    await run(['xz', '-k', at('flat.qcow2')]);
    await run(['zstd', '-q', at('flat.qcow2')]);
    for (const suffix of ['gz', 'xz', 'zst']) expect(await holds(await convert(`flat.qcow2.${suffix}`)), suffix).toBe(true);
  });

  it('stops a decompression bomb at the limit', async () => {
    await writeFile(at('bomb.gz'), gzipSync(Buffer.alloc(128 * mib)));
    await expect(convert('bomb.gz')).rejects.toMatchObject({ code: 'too-large' });
    await expect(convert('disk.raw', 4 * mib)).rejects.toMatchObject({ code: 'too-large' });
  });

  it('refuses what is cut off, damaged, or hostile inside its compression', async () => {
    const compressed = await readFile(at('flat.qcow2.gz'));
    await writeFile(at('half.gz'), compressed.subarray(0, compressed.length / 2));
    await expect(convert('half.gz')).rejects.toMatchObject({ code: 'image-refused' });
    await writeFile(at('evil.gz'), gzipSync(await readFile(at('backing.qcow2'))));
    await expect(convert('evil.gz')).rejects.toMatchObject({
      code: 'image-refused',
      message: expect.stringContaining('backing file'),
    });
    await writeFile(at('twice.gz'), gzipSync(gzipSync(Buffer.alloc(mib))));
    await expect(convert('twice.gz')).rejects.toMatchObject({ code: 'image-refused' });
  });

  it('gives the tool nothing but programs, input and output', async () => {
    if (process.getuid?.() !== 0) return;
    const output = at('sandbox-out');
    await mkdir(output);
    await chown(output, conversionUid, conversionUid);
    const input = at('sandbox-in');
    await writeFile(input, 'input');
    const script = [
      'exec > /out/report',
      'id -u; id -g',
      'cat /in; echo',
      'ls -A / | tr "\\n" " "; echo',
      'ls /etc /root /proc/1 2>&1 | wc -l > /dev/null; test -e /etc/passwd && echo LEAK',
      'touch /in /usr/x /x 2>/dev/null && echo WRITABLE',
      'cat /sys/class/net/*/address 2>/dev/null && echo NET',
      'mount -t tmpfs x /out 2>/dev/null && echo MOUNT',
      'true',
    ].join('\n');
    await confined({ input, output, argv: ['/bin/sh', '-c', script], maxSize: mib, workDir: at('sandbox-work') });
    const report = (await readFile(join(output, 'report'), 'utf8')).trim().split('\n');
    expect(report.slice(0, 3)).toEqual([String(conversionUid), String(conversionUid), 'input']);
    expect(
      report[3]
        ?.trim()
        .split(/\s+/)
        .filter((name) => !['bin', 'lib', 'lib32', 'lib64', 'libx32', 'sbin', 'usr'].includes(name)),
    ).toEqual(['dev', 'in', 'out', 'proc']);
    expect(report.slice(4)).toEqual([]);
  });
});
