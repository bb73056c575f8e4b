/** A backup is whole, opens only with its passphrase, and a restore cut off anywhere leaves the old box or the new one. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openBackup, sealBackup } from '../../../appliance/node/backup-file.ts';
import { makeBackup, parseBackup } from '../../../appliance/node/backup.ts';
import { finishRestore, forceWords, replaceBox, restoreBackup } from '../../../appliance/node/restore.ts';
import { secret, systemNamespace } from '../../../appliance/resources/core-kinds.ts';
import { network, user } from '../../../appliance/resources/croft-kinds.ts';
import { dataVolume } from '../../../appliance/resources/data-volume.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { openBoxStore } from '../../../appliance/store/box/box-store.ts';
import { editStatus } from '../../../appliance/store/edit.ts';
import { openSqliteStore } from '../../../appliance/store/sqlite.ts';

const passphrase = 'correct horse battery staple';
let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'croft-backup-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const place = (name: string) => ({ data: join(home, name), run: join(home, `${name}-run`) });

/** A box with a VM that owns its disk, a network, a user and a password. */
async function makeBox(name: string, vm: string): Promise<string> {
  const { data } = place(name);
  mkdirSync(join(data, 'keys'), { recursive: true });
  writeFileSync(join(data, 'keys', 'server.pem'), `key of ${name}`, { mode: 0o600 });
  const store = openSqliteStore({ path: join(data, 'store.db') });
  const box = openBoxStore(join(data, 'box.db'));
  const made = await store.create(virtualMachine, {
    metadata: { name: vm, namespace: 'default', labels: { [idLabel]: newId() } },
    spec: { runStrategy: 'Halted', template: { spec: { domain: { devices: {} } } } },
  });
  await editStatus(store, virtualMachine, { name: vm, namespace: 'default' }, (draft) => {
    draft.status = { printableStatus: 'Stopped' };
  });
  await store.create(dataVolume, {
    metadata: {
      name: `${vm}-root`,
      namespace: 'default',
      ownerReferences: [
        { apiVersion: made.apiVersion, kind: made.kind, name: vm, uid: made.metadata.uid ?? '', controller: true },
      ],
    },
    spec: { source: { blank: {} }, storage: { resources: { requests: { storage: '1Gi' } } } },
  });
  await store.create(network, { metadata: { name: 'vlan20' }, spec: { vlan: 20 } });
  await store.create(user, { metadata: { name: 'ana' }, spec: { role: 'admin' } });
  await store.create(secret, {
    metadata: { name: 'password-ana', namespace: systemNamespace },
    spec: { type: 'Opaque', data: { hash: Buffer.from(`hash of ${name}`).toString('base64') } },
  });
  await box.close();
  await store.close();
  return data;
}

async function backupOf(data: string): Promise<Buffer> {
  const store = openSqliteStore({ path: join(data, 'store.db') });
  const { file } = await makeBackup(store, { keys: join(data, 'keys'), version: '1.2.3', passphrase });
  await store.close();
  return file;
}

/** What a box is, with the key that opens its secrets: `old` or `new` from its own certificate, VM and password. */
async function contentOf(data: string) {
  const store = openSqliteStore({ path: join(data, 'store.db') });
  try {
    const vms = (await store.list(virtualMachine)).items;
    const hash = (await store.get(secret, 'password-ana', systemNamespace))?.spec.data.hash ?? '';
    return {
      vms,
      volumes: (await store.list(dataVolume)).items,
      networks: (await store.list(network)).items.map(({ metadata, spec }) => [metadata.name, spec.vlan]),
      password: Buffer.from(hash, 'base64').toString(),
      certificate: readFileSync(join(data, 'keys', 'server.pem'), 'utf8'),
    };
  } finally {
    await store.close();
  }
}

describe('the file of a backup', () => {
  it('opens with its passphrase only, and not after any change', async () => {
    const file = await sealBackup('what a box knows', passphrase);
    expect(String(file)).not.toContain('what a box knows');
    expect(String(await openBackup(file, passphrase))).toBe('what a box knows');
    await expect(openBackup(file, `${passphrase}r`)).rejects.toThrow(/does not open/);
    for (const at of [60, 150, file.length - 1]) {
      const changed = Buffer.from(file);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await expect(openBackup(changed, passphrase), `byte ${at}`).rejects.toMatchObject({ code: 'invalid-input' });
    }
    await expect(openBackup(file.subarray(0, -3), passphrase)).rejects.toMatchObject({ code: 'invalid-input' });
    await expect(openBackup(Buffer.from('something else\n'), passphrase)).rejects.toThrow(/not a backup/);
  });

  it('is not made with a short passphrase, nor opened at a price the file names', async () => {
    await expect(sealBackup('x', 'short')).rejects.toThrow(/at least 12/);
    const dear = Buffer.from('CROFT-BACKUP {"version":1,"kdf":"scrypt","N":1073741824,"r":8,"p":1,"salt":"","nonce":""}\nrest');
    await expect(openBackup(dear, passphrase)).rejects.toThrow(/damaged/);
  });
});

describe('a restore', () => {
  it('makes a fresh box the one of the backup: objects as they were, secrets under a new key, certificates', async () => {
    const old = await makeBox('old', 'web');
    const before = await contentOf(old);
    const fresh = place('fresh');
    const { facts, replaced } = await restoreBackup(fresh, { file: await backupOf(old), passphrase });
    expect({ objects: facts.objects, files: facts.files, replaced }).toEqual({ objects: 5, files: 1, replaced: undefined });
    const after = await contentOf(fresh.data);
    const timeless = (content: typeof before) =>
      JSON.parse(JSON.stringify(content, (key, value: unknown) => (key === 'resourceVersion' ? undefined : value))) as unknown;
    expect(timeless(after)).toEqual(timeless(before));
    // Owned by the same uid still: garbage collection takes nothing.
    expect(after.volumes[0]?.metadata.ownerReferences?.[0]?.uid).toBe(after.vms[0]?.metadata.uid);
    expect(readFileSync(join(fresh.data, 'keys/store.key'))).not.toEqual(readFileSync(join(old, 'keys/store.key')));
    expect(readdirSync(fresh.data).sort()).toEqual(['backup', 'keys', 'store.db']);
  });

  it('refuses a box that holds something, names it, and keeps it when forced', async () => {
    const file = await backupOf(await makeBox('old', 'web'));
    const used = place('used');
    await makeBox('used', 'db');
    await expect(restoreBackup(used, { file, passphrase })).rejects.toMatchObject({
      code: 'invalid-state',
      message: expect.stringMatching(/1 VirtualMachine.*1 User/),
    });
    await expect(restoreBackup(used, { file, passphrase, force: 'yes' })).rejects.toMatchObject({ code: 'invalid-state' });
    expect((await contentOf(used.data)).vms[0]?.metadata.name).toBe('db');
    const { replaced = '' } = await restoreBackup(used, { file, passphrase, force: forceWords });
    expect((await contentOf(used.data)).vms[0]?.metadata.name).toBe('web');
    expect(await contentOf(replaced)).toMatchObject({ password: 'hash of used', certificate: 'key of used' });
    expect(existsSync(join(replaced, 'box.db'))).toBe(true);
  });

  it('touches nothing with a wrong passphrase, or while the store is open', async () => {
    const file = await backupOf(await makeBox('old', 'web'));
    const used = place('used');
    await makeBox('used', 'db');
    await expect(restoreBackup(used, { file, passphrase: 'not the passphrase', force: forceWords })).rejects.toThrow(
      /does not open/,
    );
    expect((await contentOf(used.data)).vms[0]?.metadata.name).toBe('db');
  });

  it('cut off after any step leaves the old or the new box, never a mixture', async () => {
    const file = await backupOf(await makeBox('old', 'web'));
    const content = parseBackup(String(await openBackup(file, passphrase)));
    await makeBox('used', 'db');
    const steps: string[] = [];
    const attempt = async (stopAfter: number) => {
      const at = place(`cut-${stopAfter}`);
      cpSync(place('used').data, at.data, { recursive: true });
      let seen = 0;
      const step = (name: string): void => {
        if (stopAfter === Number.POSITIVE_INFINITY) steps.push(name);
        if (++seen > stopAfter) throw new Error('cut off');
      };
      await replaceBox(at.data, content, step).catch((error: Error) => {
        if (error.message !== 'cut off') throw error;
      });
      return at.data;
    };
    await attempt(Number.POSITIVE_INFINITY);
    expect(steps.slice(0, 2)).toEqual(['staged', 'ready']);
    for (let stopAfter = 0; stopAfter < steps.length; stopAfter++) {
      const data = await attempt(stopAfter);
      // As the next start does, which itself may be cut off once.
      await finishRestore(data, () => {
        throw new Error('cut off again');
      }).catch((error: Error) => expect(error.message).toBe('cut off again'));
      await finishRestore(data);
      const { vms, password, certificate } = await contentOf(data);
      const box = [vms[0]?.metadata.name, password, certificate];
      const what = `cut off after ${stopAfter} steps, before ${steps[stopAfter]}`;
      if (stopAfter === 0) expect(box, what).toEqual(['db', 'hash of used', 'key of used']);
      else expect(box, what).toEqual(['web', 'hash of old', 'key of old']);
      expect(
        readdirSync(data).filter((name) => name.startsWith('restore')),
        what,
      ).toEqual([]);
    }
  });
});
