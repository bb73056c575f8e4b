/** Passwords: argon2id (RFC 9106, second recommended option: 64 MiB, 3 passes), hash in the Secret `password-<user>`. */
import { hash, verify } from '@node-rs/argon2';
import { CroftError } from '../../appliance/errors.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import { deleteSecret, readSecretValue, writeSecretValue } from './secrets.ts';

/** Algorithm 2 is argon2id: the library's const enum cannot be imported under isolatedModules. */
const options = { algorithm: 2, memoryCost: 65_536, timeCost: 3, parallelism: 1 };
const secretName = (user: string): string => `password-${user}`;

export const hashPassword = (password: string): Promise<string> => hash(password, options);

/** Two at once is what a small box has memory and cores for; more wait, many more are refused. */
const atOnce = 2;
const mayWait = 32;
let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= atOnce) {
    if (waiting.length >= mayWait) throw new CroftError('too-many-requests', 'Too many sign-ins at once; try again in a moment.');
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
  running++;
  try {
    return await work();
  } finally {
    running--;
    waiting.shift()?.();
  }
}

let decoy: Promise<string> | undefined;

/** True when it is the user's password. Takes as long for users that do not exist, so that names can't be probed. */
export async function checkPassword(store: ResourceStore, user: string, password: string): Promise<boolean> {
  const kept = await readSecretValue(store, secretName(user), 'hash');
  decoy ??= hashPassword('no such user');
  const against = kept ?? (await decoy);
  const matches = await inTurn(() => verify(against, password));
  return matches && kept !== undefined;
}

export async function setPassword(store: ResourceStore, user: string, password: string): Promise<void> {
  await writeSecretValue(store, secretName(user), 'hash', await inTurn(() => hashPassword(password)));
}

export const hasPassword = async (store: ResourceStore, user: string): Promise<boolean> =>
  (await readSecretValue(store, secretName(user), 'hash')) !== undefined;

export const deletePassword = (store: ResourceStore, user: string): Promise<void> => deleteSecret(store, secretName(user));
