/**
 * The image of the shadow pod's only container, made of nothing: a static ELF program of some hundred bytes that waits
 * for a signal for ever. It is process 1 of its namespace, so the kernel drops every signal that it has no handler for
 * (pid_namespaces(7)): it ignores SIGTERM, and SIGKILL from the host ends it. Pure.
 */
import { createHash } from 'node:crypto';
import type { Architecture } from './k3s-release.ts';

/** Its name; no registry has it. */
export const holdImage = 'croft.local/hold:1';
/** Of its archive, among those that k3s imports. */
export const holdArchive = 'croft-hold.tar';

/** Machine code of `for (;;) pause();`; arm64 has no pause(2), so ppoll(2) of nothing for ever. */
const code: Record<Architecture, number[]> = {
  // mov eax, 34; syscall; jmp back
  amd64: [0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7],
  // mov x0..x4, #0; mov x8, #73; svc #0; b back
  arm64: [0xd2800000, 0xd2800001, 0xd2800002, 0xd2800003, 0xd2800004, 0xd2800928, 0xd4000001, 0x17fffff9].flatMap((word) => [
    word & 255,
    (word >>> 8) & 255,
    (word >>> 16) & 255,
    word >>> 24,
  ]),
};

const headers = 64 + 56;
const loadAddress = 0x400000n;

/** ELF64, one loaded segment (elf(5)). */
export function holdProgram(architecture: Architecture): Buffer {
  const program = Buffer.from(code[architecture]);
  const elf = Buffer.alloc(headers + program.length);
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  elf.writeUInt16LE(2, 16); // e_type: executable
  elf.writeUInt16LE(architecture === 'amd64' ? 62 : 183, 18); // e_machine
  elf.writeUInt32LE(1, 20); // e_version
  elf.writeBigUInt64LE(loadAddress + BigInt(headers), 24); // e_entry
  elf.writeBigUInt64LE(64n, 32); // e_phoff
  elf.writeUInt16LE(64, 52); // e_ehsize
  elf.writeUInt16LE(56, 54); // e_phentsize
  elf.writeUInt16LE(1, 56); // e_phnum
  elf.writeUInt32LE(1, 64); // p_type: load
  elf.writeUInt32LE(5, 68); // p_flags: read, execute
  elf.writeBigUInt64LE(loadAddress, 80); // p_vaddr
  elf.writeBigUInt64LE(loadAddress, 88); // p_paddr
  elf.writeBigUInt64LE(BigInt(elf.length), 96); // p_filesz
  elf.writeBigUInt64LE(BigInt(elf.length), 104); // p_memsz
  elf.writeBigUInt64LE(0x1000n, 112); // p_align
  elf.set(program, headers);
  return elf;
}

/** A tar archive (POSIX ustar) of plain files, owned by root, without times. */
function tar(files: readonly { name: string; content: Buffer; mode: number }[]): Buffer {
  const blocks = files.flatMap(({ name, content, mode }) => {
    const header = Buffer.alloc(512);
    const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`;
    header.write(name, 0);
    header.write(octal(mode, 7), 100);
    header.write(octal(0, 7), 108);
    header.write(octal(0, 7), 116);
    header.write(octal(content.length, 11), 124);
    header.write(octal(0, 11), 136);
    header.write(' '.repeat(8), 148);
    header.write('0', 156);
    header.write('ustar\u000000', 257);
    header.write(
      `${octal(
        header.reduce((sum, byte) => sum + byte, 0),
        6,
      )} `,
      148,
    );
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** The archive, as `docker save` writes it, for containerd to import. */
export function holdImageArchive(architecture: Architecture): Buffer {
  const layer = tar([{ name: 'hold', content: holdProgram(architecture), mode: 0o755 }]);
  const config = {
    architecture,
    os: 'linux',
    config: { Entrypoint: ['/hold'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${createHash('sha256').update(layer).digest('hex')}`] },
  };
  const manifest = [{ Config: 'config.json', RepoTags: [holdImage], Layers: ['layer.tar'] }];
  return tar([
    { name: 'config.json', content: Buffer.from(JSON.stringify(config)), mode: 0o644 },
    { name: 'layer.tar', content: layer, mode: 0o644 },
    { name: 'manifest.json', content: Buffer.from(JSON.stringify(manifest)), mode: 0o644 },
  ]);
}
