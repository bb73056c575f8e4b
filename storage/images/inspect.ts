/**
 * What a foreign image claims to be, read by ourselves before any tool touches it. An image from outside is hostile:
 * `qemu-img convert` copies other files' content through a qcow2 backing or data file and through a VMDK extent, also
 * with the format given. So whatever can name another file, or is not fully understood, is refused here.
 *
 * Layouts mirrored: QEMU docs/interop/qcow2.txt; VMware "Virtual Disk Format 1.1" as QEMU block/vmdk.c reads it.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { CroftError } from '../../appliance/errors.ts';
import { humanBytes } from '../../appliance/resources/quantity.ts';

export type DiskFormat = 'qcow2' | 'vmdk' | 'raw';
export type Compression = 'gzip' | 'xz' | 'zstd';

/** `virtualSize`: bytes the guest would see; absent while compressed. */
export type Inspection = { format: DiskFormat; virtualSize: number } | { format: Compression; virtualSize?: undefined };

/** The bytes to inspect; `read` gives fewer bytes at the end, as files do. */
export type Reader = { size: number; read(offset: number, length: number): Promise<Buffer> };

/** No disk of a small box is larger; a header that says so is a mistake or an attack. */
export const maxVirtualSize = 64 * 2 ** 40;

const refuse = (why: string, fix?: string): CroftError => new CroftError('image-refused', why, fix ? { fix: [fix] } : {});

/** @throws CroftError `image-refused` saying what was found and what would be right */
export async function inspectImage(path: string): Promise<Inspection> {
  const handle = await open(path, 'r');
  try {
    return await inspect(await readerOf(handle));
  } finally {
    await handle.close();
  }
}

async function readerOf(handle: FileHandle): Promise<Reader> {
  const stats = await handle.stat();
  if (!stats.isFile()) throw refuse('The image is not a regular file.');
  return {
    size: stats.size,
    async read(offset, length) {
      const bytes = Buffer.alloc(length);
      const { bytesRead } = await handle.read(bytes, 0, length, offset);
      return bytes.subarray(0, bytesRead);
    },
  };
}

const signatures: [Compression, Buffer][] = [
  ['gzip', Buffer.from([0x1f, 0x8b])],
  ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0])],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
];

/** Formats we could not read rightly as raw: [name, offset, bytes]. */
const foreign: [string, number, Buffer][] = [
  ['VHDX', 0, Buffer.from('vhdxfile')],
  ['VHD', 0, Buffer.from('conectix')],
  ['VDI', 0x40, Buffer.from([0x7f, 0x10, 0xda, 0xbe])],
  ['QED', 0, Buffer.from('QED\0')],
  ['Parallels', 0, Buffer.from('WithoutFreeSpace')],
  ['Parallels', 0, Buffer.from('WithouFreSpacExt')],
  ['old qcow', 0, Buffer.from([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 1])],
  ['VMDK version 3 (COWD)', 0, Buffer.from('COWD')],
  ['LUKS', 0, Buffer.from([0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe])],
];

const isAt = (head: Buffer, offset: number, bytes: Buffer): boolean => head.subarray(offset, offset + bytes.length).equals(bytes);

/** See inspectImage. */
export async function inspect(reader: Reader): Promise<Inspection> {
  if (reader.size === 0) throw refuse('The image is empty (0 bytes).');
  const head = await reader.read(0, 4096);
  const compression = signatures.find(([, bytes]) => isAt(head, 0, bytes));
  if (compression) return { format: compression[0] };
  const other = foreign.find(([, offset, bytes]) => isAt(head, offset, bytes));
  if (other)
    throw refuse(`The image is a ${other[0]} file, which Croft does not read.`, 'Convert it to qcow2 with qemu-img first.');
  if (isAt(head, 0, Buffer.from([0x51, 0x46, 0x49, 0xfb]))) return inspectQcow2(reader, head);
  if (isAt(head, 0, Buffer.from('KDMV'))) return inspectVmdk(reader, head);
  if (/^\s*#\s*Disk\s*DescriptorFile/i.test(head.toString('latin1', 0, 512))) {
    throw refuse(
      'The image is a VMDK descriptor, which names its data by file names.',
      'Give the monolithic or stream-optimised VMDK file itself, or an OVA.',
    );
  }
  if (reader.size < 512) throw refuse(`The image has ${reader.size} bytes: no disk is that small.`);
  checkSize(reader.size);
  return { format: 'raw', virtualSize: Math.ceil(reader.size / 512) * 512 };
}

function checkSize(virtualSize: number): void {
  if (Number.isSafeInteger(virtualSize) && virtualSize > 0 && virtualSize <= maxVirtualSize) return;
  throw refuse(`The image says it is a disk of ${humanBytes(virtualSize)}; 512 B to ${humanBytes(maxVirtualSize)} can be.`);
}

/** incompatible_features: 0 dirty, 3 compression type, 4 extended L2 are harmless; 1 corrupt, 2 external data file are not. */
const knownIncompatible = 0b11001n;
const externalData = 0b00100n;
const corrupt = 0b00010n;
const extension = { end: 0, dataFile: 0x44415441, encryption: 0x0537be77 };

async function inspectQcow2(reader: Reader, head: Buffer): Promise<Inspection> {
  if (head.length < 104) throw refuse(`The qcow2 header is cut off after ${head.length} bytes.`);
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw refuse(`The qcow2 image has version ${version}; 2 and 3 can be read.`);
  if (head.readBigUInt64BE(8) !== 0n || head.readUInt32BE(16) !== 0) {
    throw refuse('The qcow2 image has a backing file.', 'Make it flat: qemu-img convert -O qcow2 IMAGE FLAT.');
  }
  if (head.readUInt32BE(32) !== 0) throw refuse('The qcow2 image is encrypted.', 'Decrypt it with qemu-img convert first.');
  const clusterBits = head.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21)
    throw refuse(`The qcow2 image has a cluster size of 2^${clusterBits}; 2^9 to 2^21 can be.`);
  if (version === 3) checkFeatures(head.readBigUInt64BE(72));
  const headerLength = version === 3 ? head.readUInt32BE(100) : 72;
  await checkExtensions(reader, headerLength, 2 ** clusterBits);

  const virtualSize = Number(head.readBigUInt64BE(24));
  checkSize(virtualSize);
  checkTables(reader, head, virtualSize, clusterBits);
  return { format: 'qcow2', virtualSize };
}

function checkFeatures(features: bigint): void {
  if (features & externalData) throw refuse('The qcow2 image keeps its data in another file (data_file).');
  if (features & corrupt) throw refuse('The qcow2 image is marked corrupt.', 'Repair it with qemu-img check -r all first.');
  const unknown = features & ~knownIncompatible;
  if (unknown) throw refuse(`The qcow2 image uses unknown features (incompatible bits 0x${unknown.toString(16)}).`);
}

async function checkExtensions(reader: Reader, headerLength: number, clusterSize: number): Promise<void> {
  const limit = Math.min(clusterSize, 64 * 1024);
  if (headerLength < 72 || headerLength > limit || headerLength % 8 !== 0)
    throw refuse(`The qcow2 header has an impossible length of ${headerLength}.`);
  const bytes = await reader.read(0, limit);
  for (let offset = headerLength; offset + 8 <= bytes.length; ) {
    const type = bytes.readUInt32BE(offset);
    const length = bytes.readUInt32BE(offset + 4);
    if (type === extension.end) return;
    if (type === extension.dataFile) throw refuse('The qcow2 image names an external data file.');
    if (type === extension.encryption) throw refuse('The qcow2 image is encrypted.', 'Decrypt it with qemu-img convert first.');
    if (length > limit) throw refuse('A header extension of the qcow2 image is longer than its header.');
    offset += 8 + Math.ceil(length / 8) * 8;
  }
}

const maxL1Bytes = 32 * 2 ** 20;
const maxInternalSnapshots = 1024;

function checkTables(reader: Reader, head: Buffer, virtualSize: number, clusterBits: number): void {
  const clusterSize = 2 ** clusterBits;
  const l1Entries = head.readUInt32BE(36);
  // An L2 table fills a cluster with entries of 8 bytes (16 with extended L2): what one L1 entry covers at most.
  const needed = Math.ceil(virtualSize / (clusterSize * (clusterSize / 8)));
  if (l1Entries * 8 > maxL1Bytes || l1Entries < needed) {
    throw refuse(`The qcow2 image has ${l1Entries} L1 entries for ${humanBytes(virtualSize)}: that does not fit.`);
  }
  if (head.readUInt32BE(60) > maxInternalSnapshots) throw refuse('The qcow2 image has more than 1024 internal snapshots.');
  const tables: [string, number, number][] = [
    ['L1', Number(head.readBigUInt64BE(40)), l1Entries * 8],
    ['refcount', Number(head.readBigUInt64BE(48)), head.readUInt32BE(56) * clusterSize],
  ];
  for (const [name, offset, length] of tables) {
    if (offset % clusterSize !== 0 || offset === 0)
      throw refuse(`The ${name} table of the qcow2 image lies at an impossible place.`);
    // The last table may end before its cluster does; its first byte has to be there.
    if (offset >= reader.size) {
      throw refuse(
        `The qcow2 image is cut off: its ${name} table would lie at ${humanBytes(offset)}, the file ends at ${humanBytes(reader.size)}.`,
      );
    }
    if (length > maxL1Bytes) throw refuse(`The ${name} table of the qcow2 image is absurdly large (${humanBytes(length)}).`);
  }
}

const vmdkSector = 512;
const maxDescriptor = 64 * 1024;

async function inspectVmdk(reader: Reader, head: Buffer): Promise<Inspection> {
  if (head.length < 512) throw refuse(`The VMDK header is cut off after ${head.length} bytes.`);
  const version = head.readUInt32LE(4);
  if (version < 1 || version > 3) throw refuse(`The VMDK image has version ${version}; 1 to 3 can be read.`);
  const capacity = Number(head.readBigUInt64LE(12));
  const descriptorOffset = Number(head.readBigUInt64LE(28)) * vmdkSector;
  const descriptorSize = Number(head.readBigUInt64LE(36)) * vmdkSector;
  // QEMU takes a header without capacity for a mere wrapper around a descriptor with extents by name.
  if (capacity === 0) throw refuse('The VMDK header has no capacity.');
  if (descriptorOffset === 0 || descriptorSize === 0 || descriptorSize > maxDescriptor || descriptorOffset >= reader.size) {
    throw refuse(
      'The VMDK image has no descriptor of its own: it is a part of a split disk.',
      'Give a monolithic or stream-optimised VMDK.',
    );
  }
  const descriptor = (await reader.read(descriptorOffset, descriptorSize)).toString('latin1').replace(/\0.*$/s, '');
  checkDescriptor(descriptor);
  checkSize(capacity * vmdkSector);
  return { format: 'vmdk', virtualSize: capacity * vmdkSector };
}

const soundTypes = ['monolithicSparse', 'streamOptimized'];

function checkDescriptor(descriptor: string): void {
  const createType = /^\s*createType\s*=\s*"([^"]*)"/im.exec(descriptor)?.[1];
  if (!createType || !soundTypes.includes(createType)) {
    throw refuse(`The VMDK image is of type ${createType ?? 'unknown'}; ${soundTypes.join(' and ')} can be read.`);
  }
  if (/^\s*parentFileNameHint/im.test(descriptor) || !/^\s*parentCID\s*=\s*ffffffff\s*$/im.test(descriptor)) {
    throw refuse('The VMDK image is a delta of another disk.', 'Consolidate its snapshots, then export it again.');
  }
  const extents = descriptor.split(/\r?\n/).filter((line) => /^\s*(RW|RDONLY|NOACCESS)\b/i.test(line));
  const [only] = extents;
  if (extents.length !== 1 || !only || !/^\s*RW\s+\d+\s+SPARSE\s+"[^"/\\]*"\s*$/i.test(only)) {
    throw refuse(`The VMDK image has extents beside its own sparse one (${extents.length} in all).`, 'Give a monolithic VMDK.');
  }
}
