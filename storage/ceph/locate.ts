/**
 * Which of these is it: makes a disk's light blink for a while. The enclosure's own light where the kernel knows one
 * (/sys/class/enclosure), ledctl where it is installed and can; else the disk is read in bursts of a second, so that its
 * activity light tells.
 */
import { readdir, realpath, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isCroftError, messageOf } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import type { DiskState, DiskWish } from '../driver.ts';

export type Light = NonNullable<DiskState['locating']>;

export type Locator = {
  /** Lets those blink whose `locateUntil` is to come, and no others. */
  follow(disks: readonly DiskWish[]): void;
  of(id: string): Light | undefined;
  stop(): void;
};

type Entry = { until: number; light: Light | undefined; controller: AbortController };

/** `enclosures`: for tests. */
export function createLocator(logger: Logger, enclosures = '/sys/class/enclosure'): Locator {
  const entries = new Map<string, Entry>();

  const shine = async (path: string, entry: Entry): Promise<void> => {
    const { signal } = entry.controller;
    const left = () => Math.max(0, entry.until - Date.now());
    const device = await realpath(path);
    const slot = await slotOf(device, enclosures);
    if (slot !== undefined) {
      entry.light = 'light';
      await writeFile(join(slot, 'locate'), '1');
      await delay(left(), undefined, { signal }).catch(() => undefined); // Ended before its time: the light goes out as well.
      await writeFile(join(slot, 'locate'), '0');
      return;
    }
    if (await ledctl(`locate=${device}`)) {
      entry.light = 'light';
      await delay(left(), undefined, { signal }).catch(() => undefined); // As above.
      await ledctl(`locate_off=${device}`);
      return;
    }
    entry.light = 'activity';
    while (left() > 0 && !signal.aborted) {
      // A second of reads past the cache; how much that is depends on the disk.
      await run(['timeout', '1', 'dd', `if=${device}`, 'of=/dev/null', 'bs=1M', 'iflag=direct'], {
        okCodes: [0, 1, 124],
        timeout: 30_000,
      });
      await delay(1_000, undefined, { signal }).catch(() => undefined); // As above.
    }
  };

  const end = (id: string): void => {
    entries.get(id)?.controller.abort();
    entries.delete(id);
  };

  return {
    follow(disks) {
      const wished = new Map(
        disks.flatMap(({ id, path, locateUntil }) => {
          const until = locateUntil === undefined ? 0 : Date.parse(locateUntil);
          return until > Date.now() ? [[id, { path, until }] as const] : [];
        }),
      );
      for (const id of entries.keys()) if (!wished.has(id)) end(id);
      for (const [id, { path, until }] of wished) {
        const present = entries.get(id);
        if (present) {
          present.until = Math.max(present.until, until);
          continue;
        }
        const entry: Entry = { until, light: undefined, controller: new AbortController() };
        entries.set(id, entry);
        shine(path, entry)
          .catch((error: unknown) => logger.warn({ path, error: messageOf(error) }, 'the light of a disk could not be switched'))
          .finally(() => {
            if (entries.get(id) === entry) entries.delete(id);
          });
      }
    },
    of: (id) => entries.get(id)?.light,
    stop() {
      for (const id of entries.keys()) end(id);
    },
  };
}

/** The slot of an enclosure that a whole disk is in. */
async function slotOf(device: string, enclosures: string): Promise<string | undefined> {
  const list = (path: string) => readdir(path).catch(() => [] as string[]); // Most machines have none.
  for (const enclosure of await list(enclosures)) {
    for (const slot of await list(join(enclosures, enclosure))) {
      const path = join(enclosures, enclosure, slot);
      const inside = await list(path);
      if (inside.includes('locate') && (await list(join(path, 'device/block'))).includes(basename(device))) return path;
    }
  }
  return undefined;
}

/** False where it is not installed, or the disk's controller has no light that it knows. */
async function ledctl(order: string): Promise<boolean> {
  try {
    await run(['ledctl', order], { timeout: 20_000 });
    return true;
  } catch (error) {
    if (isCroftError(error, 'missing-component') || isCroftError(error, 'command-failed')) return false;
    throw error;
  }
}
