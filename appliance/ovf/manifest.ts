/** The manifest of an OVF package (DSP0243 §5.1): digests of its files. Pure; the browser reads it too. */

/** By file. */
export type Manifest = Map<string, { algorithm: string; digest: string }>;

/** Bytes of a descriptor that are read; VMware's largest are far smaller. */
export const maxDescriptor = 1_500_000;

/** `SHA256(disk.vmdk)= <hex>` of each line. */
export function parseManifest(text: string): Manifest {
  const found: Manifest = new Map();
  for (const line of text.split(/\r?\n/)) {
    const [, algorithm, name, digest] = /^(SHA1|SHA256|SHA512)\s*\(([^)]+)\)\s*=\s*([0-9a-fA-F]+)\s*$/.exec(line) ?? [];
    if (algorithm && name && digest) found.set(name, { algorithm: algorithm.toLowerCase(), digest: digest.toLowerCase() });
  }
  return found;
}
