/** What went over a NIC, from the kernel's counters of its tap: what the tap sends, the guest receives. */
import { readFile } from 'node:fs/promises';
import type { NicCounters } from './driver.ts';

const sources: Record<keyof NicCounters, string> = {
  rxBytes: 'tx_bytes',
  rxPackets: 'tx_packets',
  rxErrors: 'tx_errors',
  rxDropped: 'tx_dropped',
  txBytes: 'rx_bytes',
  txPackets: 'rx_packets',
  txErrors: 'rx_errors',
  txDropped: 'rx_dropped',
};

/** Undefined where there is no such link. */
export async function tapCounters(ifname: string): Promise<NicCounters | undefined> {
  try {
    const read = async (file: string) => Number(await readFile(`/sys/class/net/${ifname}/statistics/${file}`, 'utf8'));
    const entries = await Promise.all(Object.entries(sources).map(async ([name, file]) => [name, await read(file)] as const));
    return Object.fromEntries(entries) as NicCounters;
  } catch {
    return undefined; // It went meanwhile, or the guest has another kind of network.
  }
}
