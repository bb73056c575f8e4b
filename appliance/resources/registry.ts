/** All kinds there are. The store, the API, the CLI's columns and (in a cluster) the CRDs are driven by this table. */
import { CroftError } from '../errors.ts';
import { secret } from './core-kinds.ts';
import { image, network, node, storagePool, token, user } from './croft-kinds.ts';
import { dataVolume, persistentVolumeClaim } from './data-volume.ts';
import { clusterInstancetype, clusterPreference, instancetype, preference } from './instancetype.ts';
import type { Kind } from './kind.ts';
import { uplink } from './uplink.ts';
import { fence } from './peer-kinds.ts';
import { virtualMachineClone, virtualMachineRestore, virtualMachineSnapshot } from './snapshot.ts';
import { virtualMachineInstanceMigration } from './migration.ts';
import { volumeMove } from './volume-move.ts';
import { virtualMachine, virtualMachineInstance } from './virtual-machine.ts';

export const kinds = [
  virtualMachine,
  virtualMachineInstance,
  virtualMachineInstanceMigration,
  dataVolume,
  persistentVolumeClaim,
  virtualMachineSnapshot,
  virtualMachineRestore,
  virtualMachineClone,
  volumeMove,
  clusterInstancetype,
  instancetype,
  clusterPreference,
  preference,
  secret,
  network,
  uplink,
  image,
  storagePool,
  user,
  token,
  node,
  fence,
] as const satisfies readonly Kind[];

/** The kind named by a manifest's `kind`. @throws CroftError `invalid-input` */
export function kindNamed(name: string): Kind {
  const found = (kinds as readonly Kind[]).find((kind) => kind.kind === name);
  if (!found) throw new CroftError('invalid-input', `kind: ${JSON.stringify(name)} is not a kind of Croft.`);
  return found;
}
