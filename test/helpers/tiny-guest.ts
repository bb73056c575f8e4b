import { writeFile } from 'node:fs/promises';

/** tiny-guest.S, assembled (a unit test assembles it again where binutils are installed). */
const code = [
  '+jHAjtiOwI7QvAB8+7oCBrgAAe++qXz8rITAdAXoUADr9vS6AAbtqQABdTu6/QPsqAF0Ebr4A+w8UXQrPFB0NegtAOvnZjHJutAMZonIZu+6xA',
  'xm7WaFwHQFusgMZu9Bg/lAcuPru7oEBrgAIO/rsrr4A+7D+ma4EDgAgLr4DGbvuvwMZu0k8GaJww8BFsh8DyDADAEPIsC5CACO2ST+DyLAZ8YD',
  'AfTr/Wd1ZXN0IHJlYWR5DQoAkAAAAAAAAAAA//8AAACSzwAPALh8',
].join('');

/** counting-guest.S, likewise. */
const countingCode = [
  '+mYx27gAEI7YZokeAAAFAAE9AFBy8WaJ2WZBuAAQjthmOR4AAHUcZokOAAAFAAE9AFBy6maJy4XbdduwLrr4A+7r07BCuvgD7vTr/Q==',
].join('');

function bootable(sector: string): Buffer {
  const disk = Buffer.alloc(1024 * 1024);
  Buffer.from(sector, 'base64').copy(disk);
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}

/** A raw disk of 1 MiB that boots the tiny guest in a fraction of a second, also when emulated. */
export const tinyGuestDisk = (): Buffer => bootable(code);
/** The same for the guest that checks its memory as it writes. */
export const countingGuestDisk = (): Buffer => bootable(countingCode);

export const writeTinyGuest = (path: string): Promise<void> => writeFile(path, tinyGuestDisk());
