import { execa } from 'execa';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { secret } from '../../../appliance/resources/core-kinds.ts';
import { dataVolume } from '../../../appliance/resources/data-volume.ts';
import { openSqliteStore } from '../../../appliance/store/sqlite.ts';
import { randomOf } from '../../../appliance/store/rough.ts';

const rounds = Number(process.env.CROFT_CRASH_ROUNDS ?? 4);
const seed = Number(process.env.CROFT_SEED ?? Date.now() % 1_000_000);

/** What the killed writer was told is stored. The last line may be cut. */
function replay(output: string): Map<string, string | undefined> {
  const objects = new Map<string, string | undefined>();
  for (const line of output.split('\n').slice(0, -1)) {
    const [what, name = '', phase] = line.split(' ');
    if (what === 'create') objects.set(`dv ${name}`, undefined);
    else if (what === 'status') objects.set(`dv ${name}`, phase);
    else if (what === 'secret') objects.set(`secret ${name}`, undefined);
    else if (what === 'delete') objects.delete(`dv ${name}`);
  }
  return objects;
}

it(`loses no acknowledged write to kill -9, and stores none by half (CROFT_SEED=${seed})`, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'croft-crash-'));
  const path = join(directory, 'store.db');
  const random = randomOf(seed);
  try {
    for (let round = 0; round < rounds; round++) {
      const child = execa(process.execPath, [join(import.meta.dirname, 'crash-writer.ts'), path, String(round)], {
        reject: false,
        buffer: { stderr: true, stdout: true },
      });
      await new Promise((resolve) => child.stdout.once('data', resolve));
      if (round === 0) expect(() => openSqliteStore({ path })).toThrow(`open in another process (pid ${child.pid})`);
      await new Promise((resolve) => setTimeout(resolve, 20 + random() * 250));
      child.kill('SIGKILL');
      const { stdout, stderr, signal } = await child;
      expect([signal, stderr]).toEqual(['SIGKILL', '']);
      const told = replay(`${String(stdout)}\n`);
      expect(told.size).toBeGreaterThan(0);

      const store = openSqliteStore({ path, changeLogLimit: 64 });
      const namespace = `round-${round}`;
      const volumes = (await store.list(dataVolume, { namespace })).items;
      const secrets = (await store.list(secret, { namespace })).items;
      const found = new Map<string, string | undefined>([
        ...volumes.map((one): [string, string | undefined] => [`dv ${one.metadata.name}`, one.status?.phase]),
        ...secrets.map((one): [string, undefined] => [`secret ${one.metadata.name}`, undefined]),
      ]);
      // At most the one write in flight may be there, or gone, without being told.
      const differing = [...new Set([...told.keys(), ...found.keys()])].filter(
        (key) => told.has(key) !== found.has(key) || told.get(key) !== found.get(key),
      );
      expect(differing.length).toBeLessThanOrEqual(1);
      for (const key of differing) expect(told.has(key) && found.has(key) && found.get(key) === undefined, key).toBe(false);
      await store.create(dataVolume, { metadata: { name: 'after', namespace }, spec: {} });
      await store.close();

      const raw = new DatabaseSync(path);
      expect(raw.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
      raw.close();
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
