/** peer.json: which part this box has in a cluster. Written by its join, read at each start; a founder needs none. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import type { Config } from '../../config.ts';
import { CroftError } from '../../errors.ts';
import { writeFileAtomic } from '../../host/files.ts';

export const PeerIdentity = Type.Object({
  /** Name of the box, in Kubernetes, Ceph and Croft alike. */
  name: Type.String(),
  /** Its cluster address: never changes. */
  address: Type.String(),
  role: Type.Enum(['voter', 'agent']),
  witness: Type.Boolean(),
  /** Leads to an API server: its own on a voter, another box's on an agent. */
  kubeconfig: Type.String(),
});
export type PeerIdentity = Static<typeof PeerIdentity>;

const fileIn = (data: string): string => join(data, 'peer.json');

/** Undefined on a box that joined nothing. @throws CroftError `invalid-state` on a file that is none of ours */
export async function readIdentity(data: string): Promise<PeerIdentity | undefined> {
  let text: string;
  try {
    text = await readFile(fileIn(data), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const identity: unknown = JSON.parse(text);
  if (Value.Check(PeerIdentity, identity)) return identity;
  throw new CroftError('invalid-state', `${fileIn(data)} is damaged: this box doesn't know which cluster it is of.`);
}

export const writeIdentity = (data: string, identity: PeerIdentity): Promise<void> =>
  writeFileAtomic(fileIn(data), `${JSON.stringify(identity, undefined, 2)}\n`);

/** The settings of a box that has joined: its cluster decides what its store is and what it is called. Pure. */
export const settingsOf = (config: Config, identity: PeerIdentity | undefined): Config =>
  identity
    ? { ...config, store: 'kubernetes', kubeconfig: identity.kubeconfig, node: identity.name, address: identity.address }
    : config;
