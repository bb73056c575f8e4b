/** Small OVAs, as VMware writes them. */
import { createHash } from 'node:crypto';
import { tarEnd, tarHeader, tarPadding } from '../../appliance/host/tar.ts';
import { writeOvf } from '../../appliance/ovf/write.ts';

export type OvaWish = { name: string; disks: Buffer[]; networks: string[] };

export const ovfOf = ({ name, disks, networks }: OvaWish): string =>
  writeOvf({
    name,
    cpus: 2,
    memory: 512 * 2 ** 20,
    firmware: 'efi',
    disks: disks.map(({ length }, index) => ({ file: `disk${index}.raw`, size: length, capacity: length })),
    nics: networks.map((network) => ({ network })),
  });

export function ovaOf(wish: OvaWish): Buffer {
  const files: [string, Buffer][] = [
    [`${wish.name}.ovf`, Buffer.from(ovfOf(wish))],
    ...wish.disks.map((disk, index): [string, Buffer] => [`disk${index}.raw`, disk]),
  ];
  const sums = files.map(([name, body]) => `SHA256(${name})= ${createHash('sha256').update(body).digest('hex')}\n`);
  files.splice(1, 0, [`${wish.name}.mf`, Buffer.from(sums.join(''))]);
  return Buffer.concat([
    ...files.flatMap(([name, body]) => [tarHeader(name, body.length, 1), body, tarPadding(body.length)]),
    tarEnd(),
  ]);
}
