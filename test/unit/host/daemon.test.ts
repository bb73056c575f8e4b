import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Daemon, superviseDaemon, type DaemonSpec } from '../../../appliance/host/daemon.ts';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { isAlive, readProcess } from '../../../appliance/host/process-info.ts';
import { eventually } from '../../helpers/eventually.ts';

describe('Daemon', () => {
  const options = { logger: silentLogger() };
  let directory: string;
  let daemon: Daemon | undefined;
  const spec = (more: Partial<DaemonSpec> = {}): DaemonSpec => ({ name: 'sleeper', directory, argv: ['sleep', '300'], ...more });
  const record = () => JSON.parse(readFileSync(join(directory, 'sleeper.json'), 'utf8'));

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'croft-d-'));
  });

  afterEach(async () => {
    await daemon?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  it('starts, records and stops a process', async () => {
    daemon = await superviseDaemon(spec(), options);
    const identity = record();
    expect(identity.pid).toBe(daemon.pid);
    expect(await isAlive(identity)).toBe(true);
    await daemon.stop();
    expect(await isAlive(identity)).toBe(false);
    expect(existsSync(join(directory, 'sleeper.json'))).toBe(false);
    await daemon.stop();
  });

  it('adopts the one that runs, and replaces it when it should be another', async () => {
    const first = await superviseDaemon(spec(), options);
    const pid = first.pid;
    first.release();
    const ups: string[] = [];
    daemon = await superviseDaemon(spec(), { ...options, onUp: (how) => ups.push(how) });
    expect(daemon.pid).toBe(pid);
    expect(ups).toEqual(['adopted']);
    daemon.release();
    daemon = await superviseDaemon(spec({ fingerprint: 'another' }), options);
    expect(daemon.pid).not.toBe(pid);
    await eventually(async () => (await readProcess(pid as number)) === undefined);
  });

  it('starts it again after a death, its own child and an adopted one', async () => {
    daemon = await superviseDaemon(spec(), options);
    const first = daemon.pid as number;
    process.kill(first, 'SIGKILL');
    await eventually(() => daemon?.pid !== undefined && daemon.pid !== first);
    daemon.release();
    daemon = await superviseDaemon(spec(), options);
    const second = daemon.pid as number;
    process.kill(second, 'SIGKILL');
    await eventually(() => daemon?.pid !== undefined && daemon.pid !== second);
    expect(record().pid).toBe(daemon.pid);
  });

  it('does not touch another process that has its pid now', async () => {
    daemon = await superviseDaemon(spec(), options);
    const { pid } = record();
    daemon.release();
    const { writeFileSync } = await import('node:fs');
    writeFileSync(join(directory, 'other.json'), JSON.stringify({ ...record(), startTime: 1 }));
    await new Daemon(spec({ name: 'other' }), options).stop();
    expect(await readProcess(pid)).toBeDefined();
  });

  it('says in its own words why it does not come up', async () => {
    const failing = spec({ argv: ['sh', '-c', 'echo no such zone >&2; exit 3'] });
    const never = { ...options, ready: async () => false, readyTimeout: 5_000 };
    await expect(superviseDaemon(failing, never)).rejects.toThrow('sleeper ended at once: no such zone');
    await expect(superviseDaemon(spec({ argv: ['croft-no-such-program'] }), never)).rejects.toMatchObject({
      code: 'missing-component',
    });
    const deaf = superviseDaemon(spec(), { ...options, ready: async () => false, readyTimeout: 100 });
    await expect(deaf).rejects.toThrow('did not serve within 100 ms');
    daemon = new Daemon(spec(), options);
  });

  it('is replaced only when its specification differs', async () => {
    daemon = await superviseDaemon(spec(), options);
    const { pid } = daemon;
    await daemon.respec(spec());
    expect(daemon.pid).toBe(pid);
    await daemon.respec(spec({ argv: ['sleep', '301'] }));
    expect(daemon.pid).not.toBe(pid);
  });
});
