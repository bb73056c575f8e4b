/** Verify load on a replicated pool: a librbd client whose every acknowledged write is noted outside (verify_load.py). */
import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../appliance/host/exec.ts';
import { newId } from '../../appliance/resources/identity.ts';
import type { VolumeDriver } from '../../storage/driver.ts';
import { eventually } from './eventually.ts';
import type { CephBox } from './rbd-pool.ts';

const writer = fileURLToPath(new URL('verify_load.py', import.meta.url));

export type Verdict = { writes: number; lost: number; stallMs: number };

export type VerifyLoad = {
  /** Writes noted so far. */
  writes(): Promise<number>;
  /** Waits until the writer gets `more` further writes through. */
  goesOn(more?: number): Promise<void>;
  /** The longest that a write noted after the first `from` took, ms. */
  worstSince(from: number): Promise<number>;
  /** Compares what the disk holds with what was acknowledged; the writer goes on. */
  check(): Promise<Verdict>;
  /** Stops the writer and checks. */
  end(): Promise<Verdict>;
  kill(): void;
};

export async function startVerifyLoad(box: CephBox, driver: VolumeDriver): Promise<VerifyLoad> {
  const volumeId = newId();
  await driver.create({ id: volumeId, size: 16 * 2 ** 20, source: { blank: true } });
  const { conf, user } = await box.cluster.guestAccess('replicated', undefined);
  const journal = join(box.base, `journal-${volumeId}`);
  const argv = (mode: string) => [writer, mode, conf, user, 'replicated', `vol-${volumeId}.g1`, journal];
  const child = spawn('/usr/bin/python3', argv('write'), { stdio: ['pipe', 'ignore', 'inherit'] });
  // Read piece by piece: after some minutes the journal has hundreds of thousands of lines.
  const took: number[] = [];
  let position = 0;
  let rest = '';
  const writes = async (): Promise<number> => {
    const handle = await open(journal, 'r').catch(() => undefined); // Not made yet.
    if (!handle) return 0;
    try {
      const { size } = await handle.stat();
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - position), 0, size - position, position);
      position += bytesRead;
      const lines = (rest + buffer.toString('latin1', 0, bytesRead)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) took.push(Number(line.split(' ')[2]));
    } finally {
      await handle.close();
    }
    return took.length;
  };
  const check = async () =>
    JSON.parse((await run(['/usr/bin/python3', ...argv('check')], { timeout: 120_000 })).stdout) as Verdict;
  await eventually(async () => (await writes()) > 20, { timeout: 20_000 });
  return {
    writes,
    check,
    async goesOn(more = 50) {
      const before = await writes();
      await eventually(
        async () => {
          if (child.exitCode !== null) throw new Error(`the writer ended with ${child.exitCode}`);
          return (await writes()) > before + more;
        },
        { timeout: 60_000, interval: 100 },
      );
    },
    async worstSince(from) {
      await writes();
      return took.slice(from).reduce((worst, one) => Math.max(worst, one), 0);
    },
    async end() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.stdin.end();
      await ended;
      return check();
    },
    kill: () => void child.kill('SIGKILL'),
  };
}
