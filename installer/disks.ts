/** The machine's disks as an installation sees them: read from lsblk, judged by pure functions. */
import { run } from '../appliance/host/exec.ts';
import { isUnfinished, readBootSector } from './boot-loader.ts';

export type Disk = {
  /** Device node, e.g. /dev/nvme0n1. */
  path: string;
  /** Empty when the disk tells none. */
  serial: string;
  model: string;
  /** Bytes. */
  size: number;
  readOnly: boolean;
  removable: boolean;
  /** Something of it, or on it, is mounted: e.g. the medium that runs this system. */
  inUse: boolean;
  /** What stands on it, in words: partition table, file systems, members of volume groups. Empty: blank. */
  content: string[];
  /** An installation of Croft was begun on it and not finished. */
  unfinished: boolean;
};

type Block = {
  path: string;
  type: string;
  serial: string | null;
  model: string | null;
  size: number;
  ro: boolean;
  rm: boolean;
  fstype: string | null;
  pttype: string | null;
  partlabel: string | null;
  mountpoints: (string | null)[];
  children?: Block[];
};

const columns = 'PATH,TYPE,SERIAL,MODEL,SIZE,RO,RM,FSTYPE,PTTYPE,PARTLABEL,MOUNTPOINTS';

/** Reads `lsblk --json --bytes` into disks; CDs, loops and RAM disks are none. */
export function parseLsblk(output: string): Omit<Disk, 'unfinished'>[] {
  const { blockdevices } = JSON.parse(output) as { blockdevices: Block[] };
  return blockdevices
    .filter(({ type, size }) => type === 'disk' && size > 0)
    .map((block) => ({
      path: block.path,
      serial: block.serial?.trim() ?? '',
      model: block.model?.trim() ?? '',
      size: block.size,
      readOnly: block.ro,
      removable: block.rm,
      inUse: isMounted(block),
      content: contentOf(block),
    }));
}

const isMounted = (block: Block): boolean =>
  block.mountpoints.some((point) => point !== null) || (block.children ?? []).some(isMounted);

function contentOf(block: Block): string[] {
  const own = block.fstype ? [block.fstype] : block.pttype ? [`a partition table (${block.pttype})`] : [];
  const parts = (block.children ?? []).map((child) => {
    const what = [child.fstype, child.partlabel && `"${child.partlabel}"`].filter(Boolean).join(' ');
    return `${child.path.slice(5)}${what ? `: ${what}` : ''}`;
  });
  return [...own, ...parts];
}

/** All disks of the machine. */
export async function listDisks(): Promise<Disk[]> {
  // Controllers may still be finding their disks.
  await run(['udevadm', 'settle', '--timeout=60'], { timeout: 90_000 });
  const { stdout } = await run(['lsblk', '--json', '--bytes', '--output', columns]);
  const disks = parseLsblk(stdout);
  return Promise.all(disks.map(async (disk) => ({ ...disk, unfinished: await wasBegun(disk.path) })));
}

/** A disk that cannot be read is judged by what lsblk says of it: one broken disk must not stop the others. */
const wasBegun = (path: string): Promise<boolean> => readBootSector(path).then(isUnfinished, () => false);
