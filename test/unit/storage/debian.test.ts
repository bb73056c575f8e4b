/** The Debian image's recipe: sources of this machine's own release, and a kept image that is taken again. */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CroftError } from '../../../appliance/errors.ts';
import type { run as realRun } from '../../../appliance/host/exec.ts';
import { buildDebian } from '../../../storage/images/debian/build.ts';
import { parseSources } from '../../../storage/images/debian/tree.ts';

describe('parseSources', () => {
  it('takes the release apt uses, with updates and keys, and nothing else', () => {
    const targets = [
      'http://mirror.example/debian|bookworm|main|',
      'http://mirror.example/debian|bookworm-updates|main|/usr/share/keyrings/k.gpg',
      'http://mirror.example/security|bookworm-security|main|',
      'http://mirror.example/debian|bookworm|non-free|',
      'http://mirror.example/debian|trixie|main|',
      'https://packages.example|stable|main|/usr/share/keyrings/other.gpg',
      '',
    ].join('\n');
    expect(parseSources(targets)).toEqual({
      suite: 'bookworm',
      lines: [
        'deb http://mirror.example/debian bookworm main',
        'deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian bookworm-updates main',
        'deb http://mirror.example/security bookworm-security main',
      ],
    });
  });

  it('says what to do where apt knows no Debian', () => {
    expect(() => parseSources('https://ubuntu.example|noble|main|\n')).toThrow(/apt knows no Debian mirror/);
  });
});

describe.runIf(process.getuid?.() === 0)('buildDebian', () => {
  let root: string;
  let calls: string[][];
  let version = '1';
  let fails: string | undefined;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'croft-deb-'));
    calls = [];
    version = '1';
    fails = undefined;
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  /** Answers as the tools do, and makes the last one's file; the disk's parts have the system test. */
  const run = (async (argv: readonly string[]) => {
    calls.push([...argv]);
    const [program] = argv;
    if (program === fails) throw new CroftError('command-failed', `${program} ended with code 1.`);
    const stdout =
      program === 'apt-get' ? 'http://m.example/debian|bookworm|main|\n' : `Package: cloud-init\nVersion: ${version}\n`;
    return { stdout, stderr: '', exitCode: 0 };
  }) as typeof realRun;
  const build = (signal?: AbortSignal) =>
    buildDebian({
      workDir: join(root, 'work'),
      cacheDir: join(root, 'cache'),
      output: join(root, 'out.qcow2'),
      run,
      ...(signal ? { signal } : {}),
    });
  const keptNames = async (): Promise<string[]> => readdir(join(root, 'cache'));

  it('takes the kept image while nothing has changed, and builds anew when a package has', async () => {
    fails = 'mmdebstrap';
    await expect(build()).rejects.toMatchObject({ code: 'command-failed' });
    expect(await keptNames()).toEqual([]);
    expect(await readdir(root)).toEqual(['cache']);
    const key = await nameItWants();
    await writeFile(join(root, 'cache', key), 'kept');
    expect(await build()).toMatchObject({ cached: true });
    expect(await readFile(join(root, 'out.qcow2'), 'utf8')).toBe('kept');
    version = '2';
    await expect(build()).rejects.toMatchObject({ code: 'command-failed' });
  });

  /** The key: the recipe's text and the packages' versions. */
  async function nameItWants(): Promise<string> {
    const hash = createHash('sha256').update('bookworm').update(`Package: cloud-init\nVersion: ${version}`);
    for (const name of ['tree.ts', 'disk.ts', 'build.ts']) {
      hash.update(await readFile(join(import.meta.dirname, '../../../storage/images/debian', name)));
    }
    return `bookworm-${hash.digest('hex').slice(0, 16)}.qcow2`;
  }

  it('ends when it is cancelled, and leaves no scratch space', async () => {
    const abort = new AbortController();
    abort.abort(new Error('cancelled'));
    await expect(build(abort.signal)).rejects.toThrow('cancelled');
    expect(await keptNames()).toEqual([]);
    expect(calls).toEqual([]);
  });
});
