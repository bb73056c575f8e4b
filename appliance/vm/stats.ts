/** What every running guest has used, its NICs included: those are counted at their taps, from the other side. */
import { readFile } from 'node:fs/promises';
import { messageOf } from '../errors.ts';
import type { NicCounters, VmUsage } from '../ports.ts';
import { idLabel, tapName } from '../resources/identity.ts';
import type { VmContext } from './context.ts';
import { readSlots, type SlotJournal } from './slots.ts';

/** A guest that doesn't answer within its deadline is left out; the others are not held up by it. */
export async function readUsage({ instances, registry, journal, logger }: VmContext): Promise<VmUsage[]> {
  const found = await Promise.all(
    instances().map(async (instance): Promise<VmUsage | undefined> => {
      const id = instance.metadata.labels?.[idLabel] ?? '';
      const guest = registry.get(id);
      if (!guest) return undefined;
      try {
        const [stats, nics] = await Promise.all([guest.stats(), readNics(journal, id)]);
        const { name, namespace = 'default' } = instance.metadata;
        return { vm: { name, namespace }, id, stats: { ...stats, nics } };
      } catch (error) {
        logger.debug({ vm: id, error: messageOf(error) }, 'a guest did not tell what it uses');
        return undefined;
      }
    }),
  );
  return found.filter((usage) => usage !== undefined);
}

/** By the NIC's name; those without a tap (user-mode networking) are not counted by anybody. */
async function readNics(journal: SlotJournal, id: string): Promise<Record<string, NicCounters>> {
  const counted = await Promise.all(
    Object.entries(readSlots(journal, id, 'nic')).map(async ([name, index]): Promise<[string, NicCounters][]> => {
      const counters = await readTap(tapName(id, index));
      return counters ? [[name, counters]] : [];
    }),
  );
  return Object.fromEntries(counted.flat());
}

async function readTap(tap: string): Promise<NicCounters | undefined> {
  const read = async (name: string): Promise<number> =>
    Number(await readFile(`/sys/class/net/${tap}/statistics/${name}`, 'utf8'));
  try {
    // What the tap transmits, the guest receives.
    const [receivedBytes, receivedPackets, receivedDrops, transmittedBytes, transmittedPackets, transmittedDrops] =
      await Promise.all(['tx_bytes', 'tx_packets', 'tx_dropped', 'rx_bytes', 'rx_packets', 'rx_dropped'].map(read));
    return {
      receivedBytes: receivedBytes ?? 0,
      receivedPackets: receivedPackets ?? 0,
      receivedDrops: receivedDrops ?? 0,
      transmittedBytes: transmittedBytes ?? 0,
      transmittedPackets: transmittedPackets ?? 0,
      transmittedDrops: transmittedDrops ?? 0,
    };
  } catch {
    return undefined; // No such tap, or it went while we read: it counts nothing.
  }
}
