import { writeFile } from 'node:fs/promises';

/** tiny-guest.S, assembled (a unit test assembles it again where binutils are installed). */
const code = [
  '+jHAjtiOwI7QvAB8+7oCBrgAAe++qXz8rITAdAXoUADr9vS6AAbtqQABdTu6/QPsqAF0Ebr4A+w8UXQrPFB0NegtAOvnZjHJutAMZonIZu+6xA',
  'xm7WaFwHQFusgMZu9Bg/lAcuPru7oEBrgAIO/rsrr4A+7D+ma4EDgAgLr4DGbvuvwMZu0k8GaJww8BFsh8DyDADAEPIsC5CACO2ST+DyLAZ8YD',
  'AfTr/Wd1ZXN0IHJlYWR5DQoAkAAAAAAAAAAA//8AAACSzwAPALh8',
].join('');

/** A raw disk of 1 MiB that boots the tiny guest in a fraction of a second, also when emulated. */
export function tinyGuestDisk(): Buffer {
  const disk = Buffer.alloc(1024 * 1024);
  Buffer.from(code, 'base64').copy(disk);
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}

export const writeTinyGuest = (path: string): Promise<void> => writeFile(path, tinyGuestDisk());
