/**
 * One-time links that set a password: for the first administrator, for invited users, for a forgotten
 * password. Good for 24 hours and one use; a newer link for the same user ends the older one.
 */
import { readFile, rm } from 'node:fs/promises';
import { parseListen } from '../../appliance/config.ts';
import { CroftError, isCroftError } from '../../appliance/errors.ts';
import { user } from '../../appliance/resources/croft-kinds.ts';
import { editObject } from '../../appliance/store/edit.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import type { ApiRecords } from '../server/records.ts';
import { forgetDevices } from './devices.ts';
import { hasPassword, setPassword } from './passwords.ts';
import { newSecret, sha256 } from './secrets.ts';

const lifetime = 24 * 3_600_000;
/** In place of a user: the link makes the first administrator, under a name chosen on the page. */
const firstAdministrator = '';
/** One kind per user, so that a new link can withdraw the older one. */
const kindOf = (owner: string): string => `setup:${owner}`;

export type SetupLink = { token: string; path: string; expiresAt: string };

/** Makes a link for a user, or for the first administrator. */
export function createSetupLink(box: ApiRecords, name: string | undefined, now = Date.now()): SetupLink {
  const owner = name ?? firstAdministrator;
  box.oneTime.removeAll(kindOf(owner));
  const token = `${newSecret()}.${owner}`;
  const expires = now + lifetime;
  box.oneTime.put(sha256(token), kindOf(owner), owner, expires);
  const expiresAt = new Date(expires).toISOString();
  // After # it stays in the browser: no proxy or log sees it.
  return { token, path: `/setup#${token}`, expiresAt };
}

/**
 * Uses a link: sets the password, making the first administrator where it is for that.
 * @throws CroftError `unauthenticated` when the link is used up, expired or unknown.
 */
export async function useSetupLink(
  store: ResourceStore,
  box: ApiRecords,
  given: { token: string; user?: string; password: string },
): Promise<string> {
  const name = given.token.slice(given.token.indexOf('.') + 1);
  if (box.oneTime.take(sha256(given.token), kindOf(name)) === undefined) {
    throw new CroftError('unauthenticated', 'This set-up link is used up or older than 24 hours; ask for a new one.');
  }
  if (name === firstAdministrator) return await makeFirstAdministrator(store, given);
  if (!(await store.get(user, name))) throw new CroftError('unauthenticated', `The user of this link, ${name}, is gone.`);
  await setPassword(store, name, given.password);
  box.sessions.removeOf(name);
  forgetDevices(box, name);
  return name;
}

async function makeFirstAdministrator(store: ResourceStore, given: { user?: string; password: string }): Promise<string> {
  if (await administratorExists(store)) {
    throw new CroftError('unauthenticated', 'There is an administrator already; sign in, or ask for a link of your own.');
  }
  const name = given.user ?? 'admin';
  await setPassword(store, name, given.password);
  try {
    await store.create(user, { metadata: { name }, spec: { role: 'admin' } });
  } catch (error) {
    if (!isCroftError(error, 'already-exists')) throw error;
    await editObject(store, user, { name }, (draft) => {
      draft.spec = { ...draft.spec, role: 'admin', disabled: false };
    });
  }
  return name;
}

/**
 * Makes the administrator that an unattended installation was given, and removes the file that names it. A box that
 * has an administrator keeps it.
 * @throws CroftError `invalid-state` when the file is none of ours
 */
export async function takeFirstAdministrator(store: ResourceStore, path: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return;
  const { user: name, password } = JSON.parse(text) as { user?: string; password?: string };
  if (!name || !password) throw new CroftError('invalid-state', `${path}: user and password are missing.`);
  if (!(await administratorExists(store))) await makeFirstAdministrator(store, { user: name, password });
  await rm(path);
}

/** True when someone can sign in and administer. */
export async function administratorExists(store: ResourceStore): Promise<boolean> {
  const { items } = await store.list(user);
  for (const { metadata, spec } of items) {
    if (spec.role === 'admin' && !spec.disabled && (await hasPassword(store, metadata.name))) return true;
  }
  return false;
}

/** For the start line: a fresh link while there is no administrator. `listen` is the address people use. */
export async function ensureFirstSignIn({
  store,
  box,
  listen,
}: {
  store: ResourceStore;
  box: ApiRecords;
  listen?: string;
}): Promise<{ setupUrl?: string }> {
  if (await administratorExists(store)) return {};
  return { setupUrl: `${listen === undefined ? '' : originOf(listen)}${createSetupLink(box, undefined).path}` };
}

/** `127.0.0.1:8440` → `http://127.0.0.1:8440`; https where the address is not loopback. */
export function originOf(listen: string): string {
  const { host, port, loopback } = parseListen(listen);
  return `${loopback ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
