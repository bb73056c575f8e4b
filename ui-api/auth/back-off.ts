/**
 * How often a password may be tried for one user, wherever the tries come from; the limit per address (session.ts) only
 * slows one machine.
 *
 * A user's name isn't locked, or anybody could keep its owner out: five tries are free, then one is let through after 1, 2,
 * 4 … seconds and at last every 60, which is 1,440 guesses a day for any number of machines. The owner isn't slowed by
 * strangers at all: who has signed in shows a device's secret (devices.ts) and is counted on its own.
 * Names that nobody has are treated alike, so that none can be found out. In memory: it begins anew with the service.
 */
import { CroftError } from '../../appliance/errors.ts';

const freeTries = 5;
const longestWait = 60_000;
/** A count goes when nobody has tried for so long, ms. */
const forgetAfter = 15 * 60_000;
/** Names are anybody's to invent; beyond this many the ones not tried for longest go. */
const mostNames = 10_000;

type Tries = { failed: number; last: number };

/** By the name of a user, who need not exist. */
export type BackOff = {
  /**
   * Before a password is looked at: counts the try as failed until `succeeded`, so that many at once count each.
   * @throws CroftError `too-many-requests` with `retryAfter` while the name has to wait; such a try isn't counted
   */
  begin(user: string): void;
  succeeded(user: string): void;
};

/** The wait after so many failures in a row, ms. */
export const waitAfter = (failed: number): number =>
  failed < freeTries ? 0 : Math.min(1000 * 2 ** (failed - freeTries), longestWait);

export function createBackOff(now: () => number = () => Date.now()): BackOff {
  // In order of the last try.
  const byUser = new Map<string, Tries>();

  function recent(user: string): Tries | undefined {
    const tries = byUser.get(user);
    return tries && now() - tries.last < forgetAfter ? tries : undefined;
  }

  return {
    begin(user) {
      const tries = recent(user) ?? { failed: 0, last: now() };
      const left = tries.last + waitAfter(tries.failed) - now();
      if (tries.failed >= freeTries && left > 0) {
        const seconds = Math.ceil(left / 1000);
        throw new CroftError(
          'too-many-requests',
          `There were ${tries.failed} sign-ins with a wrong password in a row; the next one is taken in ${seconds} s.`,
          { retryAfter: seconds },
        );
      }
      byUser.delete(user);
      byUser.set(user, { failed: tries.failed + 1, last: now() });
      if (byUser.size > mostNames) byUser.delete(byUser.keys().next().value as string);
    },
    succeeded: (user) => void byUser.delete(user),
  };
}
