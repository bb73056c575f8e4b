/**
 * Verify load in a tiny guest: it writes numbered blocks to a disk, each flushed, and tells of each on its serial console
 * once the disk has taken it. The console's log is on the box's side: a journal of acknowledged writes outside the VM.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import type { TestBox } from './box.ts';

const blocks = 256;
const blockOf = (write: number): number => (write * 37) % blocks;

export type Acknowledged = { write: number /** ms, the guest's clock. */; at: number };

/**
 * The acknowledged writes that a console's log tells of. The number comes twice: where the log has a gap, the halves of two
 * lines could otherwise pass for one.
 */
export const acknowledgedIn = (log: string): Acknowledged[] =>
  [...log.matchAll(/ACK (\d+) ([\d.]+) \1\r?\n/g)].map((found) => ({ write: Number(found[1]), at: Number(found[2]) * 1000 }));

/** Prints what the blocks hold, past the guest's cache. */
export const readBack = (device: string): string =>
  `echo 3 >/proc/sys/vm/drop_caches; dd if=${device} bs=4096 count=${blocks} 2>/dev/null | tr -s ' ' '\\n'`;

/** Compares what the disk holds (the output of `readBack`) with what it had acknowledged. */
export function judge(acknowledged: readonly Acknowledged[], output: string): { writes: number; lost: number; stallMs: number } {
  const found = [...output.matchAll(/^(\d+)\r?$/gm)].map((line) => Number(line[1]));
  const last = new Map<number, number>();
  for (const { write } of acknowledged) last.set(blockOf(write), write);
  const lost = [...last].filter(([block, write]) => (found[block] ?? -1) < write).length;
  const stalls = acknowledged.slice(1).map(({ write, at }, index) => {
    const before = acknowledged[index] as Acknowledged;
    return write === before.write + 1 ? at - before.at : 0; // Else the log missed what came between, the guest did not stall.
  });
  return { writes: acknowledged.length, lost, stallMs: Math.round(Math.max(...stalls)) };
}

export type GuestLoad = {
  /** Waits until `more` further writes were acknowledged. */
  goesOn(more?: number): Promise<void>;
  /** The last acknowledged write that the log has; the service writes the log, so none of while it is away. */
  last(): Promise<number>;
  /** Acknowledged writes in the log. */
  count(): Promise<number>;
  /** Ends it and reads the disk again, past the guest's cache. `stallMs`: longest time between two acknowledged writes, the guest's clock. */
  end(): Promise<{ writes: number; lost: number; stallMs: number }>;
};

export const loadScript = (device: string): string =>
  [
    '#!/bin/sh',
    'i=0',
    'while ! test -e /tmp/load-stop; do',
    '  i=$((i+1))',
    // One block of text: the number, padded.
    `  printf "%-4096d" $i | dd of=${device} bs=4096 seek=$((i*37%${blocks})) conv=notrunc,fsync 2>/dev/null || exit 1`,
    '  read up rest </proc/uptime',
    '  echo "ACK $i $up $i" >/dev/ttyS0',
    'done',
    'echo "LOAD-ENDED" >/dev/ttyS0',
  ].join('\n');

/** Begins to write to the first MiB of `device` in the guest (signed in on its console). */
export async function startGuestLoad(box: TestBox, name: string, device: string): Promise<GuestLoad> {
  const { id } = await box.vm(name);
  const log = join(box.directory, 'run', 'vms', id, 'serial.log');
  const encoded = Buffer.from(loadScript(device)).toString('base64');
  await box.guest(name, `rm -f /tmp/load-stop; echo ${encoded} | base64 -d >/tmp/load; (sh /tmp/load &)`);
  const journal = async () => acknowledgedIn(await readFile(log, 'latin1'));
  const count = async (): Promise<number> => (await journal()).length;
  const goesOn: GuestLoad['goesOn'] = async (more = 20) => {
    const before = await count();
    await eventually(async () => (await count()) >= before + more, { timeout: 90_000, interval: 200 });
  };
  await goesOn(blocks + 10);
  return {
    goesOn,
    count,
    last: async () => (await journal()).at(-1)?.write ?? 0,
    async end() {
      await box.guest(name, 'touch /tmp/load-stop; sleep 1');
      await eventually(async () => (await readFile(log, 'latin1')).includes('LOAD-ENDED'), { timeout: 30_000, interval: 200 });
      const acknowledged = await journal();
      const { output } = await box.guest(name, readBack(device));
      return judge(acknowledged, output);
    },
  };
}
