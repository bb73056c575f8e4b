/**
 * Verify load in a guest that changes boxes. Its console's log goes with it when it leaves a box, so it is followed: a
 * file that was opened is read to its end, also once it has been removed.
 */
import { open, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../helpers/eventually.ts';
import { acknowledgedIn, judge, loadScript, readBack } from '../helpers/guest-load.ts';
import type { ClusterBox } from './cluster-box.ts';
import type { LabNode } from './lab-node.ts';

type Place = { croft: ClusterBox; node: LabNode };

export type ClusterLoad = {
  /** Waits until `more` further writes were acknowledged. */
  goesOn(more?: number): Promise<void>;
  /** Reads the disk again on the box where the guest is now, past its cache; it must be signed in. */
  compare(at: Place): Promise<{ writes: number; lost: number }>;
  stop(): Promise<void>;
};

const patience = { timeout: 120_000, interval: 200 };
let calls = 0;

/** Signs in as root on the tiny guest’s console. Its loader reads kernel and initramfs in small pieces, each a way over the network: minutes on a busy machine. */
export const signInAt = ({ croft }: Place, vm: string) =>
  croft.croft(
    ['vm', 'console', vm, '--send', '', '--expect', 'login:', '--send', 'root', '--expect', '[#$] ', '--timeout', '240s'],
    { timeout: 250_000 },
  );

/** Runs a command in the guest. @returns what its console said */
async function inGuest({ croft }: Place, vm: string, command: string): Promise<string> {
  // In two halves, so that the echo of what we type is not taken for the answer.
  const mark = `CALL-${++calls}:`;
  const script = `${command}; echo "CA""${mark.slice(2)}"`;
  const { stdout } = await croft.croft(['vm', 'console', vm, '--send', script, '--expect', mark, '--timeout', '60s'], {
    timeout: 70_000,
  });
  return stdout.replaceAll('\r', '');
}

/**
 * Begins to write to `device` in a guest that is signed in at the first of the boxes.
 * @param from number of the first write: above those of an earlier load on the same disk, which could pass for later ones
 */
export async function startClusterLoad(
  vm: string,
  id: string,
  device: string,
  places: readonly Place[],
  from = 0,
): Promise<ClusterLoad> {
  const followers = places.map(({ node }) => follow(join(node.directory, 'r/vms', id, 'serial.log')));
  const acknowledged = () => {
    const all = followers.flatMap(({ text }) => acknowledgedIn(text()));
    return [...new Map(all.map((one) => [one.write, one])).values()].toSorted((a, b) => a.write - b.write);
  };
  const script = Buffer.from(loadScript(device).replace('i=0', `i=${from}`)).toString('base64');
  await inGuest(places[0] as Place, vm, `echo ${script} | base64 -d >/tmp/load; (sh /tmp/load &)`);
  return {
    async goesOn(more = 20) {
      const before = acknowledged().length;
      await eventually(() => {
        const now = acknowledged().length;
        if (now < before + more) throw new Error(`${now - before} of ${more} writes`);
      }, patience);
    },
    async compare(at) {
      const { writes, lost } = judge(acknowledged(), await inGuest(at, vm, readBack(device)));
      return { writes, lost };
    },
    async stop() {
      for (const follower of followers) await follower.stop();
    },
  };
}

function follow(path: string): { text: () => string; stop: () => Promise<void> } {
  let text = '';
  let handle: FileHandle | undefined;
  let inode = 0;
  let ended = false;
  const drain = async (): Promise<void> => {
    const buffer = Buffer.alloc(65_536);
    for (;;) {
      const { bytesRead } = (await handle?.read(buffer, 0, buffer.length)) ?? { bytesRead: 0 };
      if (bytesRead === 0) return;
      text += buffer.toString('latin1', 0, bytesRead);
    }
  };
  const look = async (): Promise<void> => {
    const present = (await stat(path).catch(() => undefined))?.ino; // The guest isn't here.
    await drain();
    if (present === undefined || present === inode) return;
    await handle?.close();
    handle = undefined;
    handle = await open(path, 'r');
    inode = present;
    await drain();
  };
  const running = (async () => {
    while (!ended) {
      // It may have gone between the look and the opening.
      await look().catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await handle?.close();
  })();
  return {
    text: () => text,
    async stop() {
      ended = true;
      await running;
    },
  };
}
