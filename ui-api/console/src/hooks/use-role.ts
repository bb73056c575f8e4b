import { useSession, type Role } from '../api/queries.ts';
import { text } from '../i18n/text.ts';

const order: readonly Role[] = ['viewer', 'operator', 'admin'];

/** Why the one signed in may not do what needs `needed`; undefined when they may. The server decides the same. */
export function useRefusal(): (needed: Role) => string | undefined {
  const { role } = useSession();
  return (needed) =>
    order.indexOf(role) >= order.indexOf(needed) ? undefined : text.roles.needs(text.roles[needed], text.roles[role]);
}
