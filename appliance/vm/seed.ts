/**
 * cloud-init's NoCloud seed (cloud-init docs, datasources/nocloud): an ISO 9660 image labelled `cidata` with
 * meta-data, user-data and network-config, made from the VM's cloudInitNoCloud volume and the Secrets it names.
 */
import { mkdir, mkdtemp, rename, rm, writeFile, chown } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../errors.ts';
import { run } from '../host/exec.ts';
import { secret } from '../resources/core-kinds.ts';
import type { InstanceSpec } from '../resources/virtual-machine.ts';
import type { ResourceStore } from '../store/store.ts';

export type SeedContent = { metaData: string; userData: string; networkConfig?: string };

type CloudInit = NonNullable<NonNullable<InstanceSpec['volumes']>[number]['cloudInitNoCloud']>;

/** The seed of a VM, with its Secrets read; undefined when it has none. @throws CroftError `not-found` naming the Secret */
export async function seedContent(
  store: ResourceStore,
  vm: { id: string; name: string; namespace: string; spec: InstanceSpec },
): Promise<SeedContent | undefined> {
  const source = vm.spec.volumes?.find((volume) => volume.cloudInitNoCloud)?.cloudInitNoCloud;
  if (!source) return undefined;
  const fromSecret = await readSecrets(store, source, vm.namespace);
  const decode = (text: string | undefined, base64: string | undefined) =>
    text ?? (base64 === undefined ? undefined : Buffer.from(base64, 'base64').toString());
  return {
    metaData: `instance-id: ${vm.id}\nlocal-hostname: ${vm.spec.hostname ?? vm.name}\n`,
    userData: fromSecret.userdata ?? decode(source.userData, source.userDataBase64) ?? '#cloud-config\n{}\n',
    networkConfig: fromSecret.networkdata ?? decode(source.networkData, source.networkDataBase64),
  };
}

async function readSecrets(
  store: ResourceStore,
  source: CloudInit,
  namespace: string,
): Promise<{ userdata?: string; networkdata?: string }> {
  const read = async (reference: { name: string } | undefined, key: string) => {
    if (!reference) return undefined;
    const found = await store.get(secret, reference.name, namespace);
    const value = found?.spec.data[key];
    if (value === undefined) {
      throw new CroftError('not-found', `cloud-init: Secret ${namespace}/${reference.name} with the key ${key} is not there.`);
    }
    return Buffer.from(value, 'base64').toString();
  };
  return {
    userdata: await read(source.secretRef, 'userdata'),
    networkdata: await read(source.networkDataSecretRef, 'networkdata'),
  };
}

/** Writes the seed image to `file`, readable by `owner` only; replaces an older one whole. */
export async function writeSeed(
  file: string,
  content: SeedContent,
  owner: { uid: number; gid: number } | undefined,
): Promise<void> {
  const directory = join(file, '..');
  await mkdir(directory, { recursive: true, mode: 0o711 });
  const work = await mkdtemp(join(directory, '.seed-'));
  try {
    const names = ['meta-data', 'user-data', ...(content.networkConfig === undefined ? [] : ['network-config'])];
    await writeFile(join(work, 'meta-data'), content.metaData, { mode: 0o600 });
    await writeFile(join(work, 'user-data'), content.userData, { mode: 0o600 });
    if (content.networkConfig !== undefined)
      await writeFile(join(work, 'network-config'), content.networkConfig, { mode: 0o600 });
    const image = join(work, 'seed.iso');
    await run(['genisoimage', '-quiet', '-V', 'cidata', '-J', '-r', '-o', image, ...names.map((name) => join(work, name))]);
    if (owner) await chown(image, owner.uid, owner.gid);
    await rename(image, file);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
