/**
 * GRUB's environment block: 1024 bytes that GRUB's `save_env` and the running system both write.
 *
 * It is a file on a 1 MiB FAT partition (GRUB refuses to save to a raw block list) that the system never
 * mounts: it finds the block by its signature and rewrites it in place, so that no file is ever truncated on
 * the way. All our variables fit the first 512 bytes: one sector, which a disk writes whole or not at all.
 * Format: grub-core/lib/envblk.c.
 */
import { open } from 'node:fs/promises';
import { CroftError } from '../appliance/errors.ts';

export type Environment = Record<string, string>;

export const blockSize = 1024;
const signature = '# GRUB Environment Block\n';
const sector = 512;

/** The 1024 bytes of a block. @throws CroftError `invalid-input` when the variables do not fit the first sector */
export function encodeEnvironment(variables: Environment): Buffer {
  const lines = Object.entries(variables).map(([name, value]) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw new CroftError('invalid-input', `boot environment: ${JSON.stringify(name)} is no variable name GRUB takes.`);
    }
    return `${name}=${value.replace(/[\\\n]/g, '\\$&')}\n`;
  });
  const text = Buffer.from(signature + lines.join(''), 'utf8');
  if (text.length > sector) {
    throw new CroftError(
      'invalid-input',
      `boot environment: ${text.length} bytes of variables; at most ${sector} fit one sector.`,
    );
  }
  return Buffer.concat([text, Buffer.alloc(blockSize - text.length, '#')]);
}

/** The variables of a block. @throws CroftError `invalid-state` when it is none */
export function decodeEnvironment(block: Uint8Array): Environment {
  const text = Buffer.from(block).toString('utf8');
  if (block.length !== blockSize || !text.startsWith(signature)) {
    throw new CroftError('invalid-state', 'The boot environment is damaged: its signature is missing.');
  }
  const variables: Environment = {};
  let line = '';
  for (let at = signature.length; at < text.length; at++) {
    const character = text[at] as string;
    if (character === '\\') line += text[++at] ?? '';
    else if (character !== '\n') line += character;
    else {
      const equals = line.indexOf('=');
      // GRUB itself writes warnings as comments; padding has no newline and so never comes here.
      if (equals > 0 && !line.startsWith('#')) variables[line.slice(0, equals)] = line.slice(equals + 1);
      line = '';
    }
  }
  return variables;
}

/** Where the block starts in an image of the partition, in bytes; FAT puts files at sector boundaries. */
export function findEnvironment(partition: Uint8Array): number {
  const bytes = Buffer.from(partition.buffer, partition.byteOffset, partition.byteLength);
  const found: number[] = [];
  for (let at = bytes.indexOf(signature); at >= 0; at = bytes.indexOf(signature, at + 1)) {
    if (at % sector === 0 && at + blockSize <= bytes.length) found.push(at);
  }
  if (found.length === 1) return found[0] as number;
  throw new CroftError(
    'invalid-state',
    found.length === 0
      ? 'The boot environment partition holds no environment block.'
      : `The boot environment partition holds ${found.length} environment blocks; which one GRUB reads cannot be told.`,
  );
}

const partitionSize = 1024 * 1024;

/** Reads the variables from a partition or an image; `offset` is where the partition starts in it, in bytes. */
export async function readEnvironment(device: string, offset = 0): Promise<Environment> {
  const handle = await open(device, 'r');
  try {
    const partition = Buffer.alloc(partitionSize);
    await handle.read(partition, 0, partitionSize, offset);
    const at = findEnvironment(partition);
    return decodeEnvironment(partition.subarray(at, at + blockSize));
  } finally {
    await handle.close();
  }
}

/** Replaces all variables in place and waits until the disk has them. */
export async function writeEnvironment(device: string, variables: Environment, offset = 0): Promise<void> {
  const block = encodeEnvironment(variables);
  const handle = await open(device, 'r+');
  try {
    const partition = Buffer.alloc(partitionSize);
    await handle.read(partition, 0, partitionSize, offset);
    await handle.write(block, 0, blockSize, offset + findEnvironment(partition));
    await handle.sync();
  } finally {
    await handle.close();
  }
}
