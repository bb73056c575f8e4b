/** Roles and the one signed in. Pure. */
import type { Static } from 'typebox';
import type { Role as RoleSchema } from '../../appliance/resources/croft-kinds.ts';

export type Role = Static<typeof RoleSchema>;

/** From the least to the most. viewer: reads. operator: VMs, disks, networks, images. admin: users, tokens, pools, audit. */
export const roles: readonly Role[] = ['viewer', 'operator', 'admin'];

export const includesRole = (has: Role, needed: Role): boolean => roles.indexOf(has) >= roles.indexOf(needed);

export const lesserRole = (a: Role, b: Role): Role => (includesRole(a, b) ? b : a);

export type Principal = {
  /** User name; `root` on the unix socket. */
  name: string;
  role: Role;
  via: 'socket' | 'token' | 'session';
  /** Token name or session id digest, for audit. */
  credential?: string;
  expiresAt?: string;
};
