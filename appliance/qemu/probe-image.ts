/** The boot sector of probe.S, assembled (a test assembles it again where binutils are installed). */
const code = [
  '+jHAjtiOwI7QvAB8vwAQuQAY/POrxwYAEAcgxwYAIAcwxwYAMIcADwEWcH0PIOBmg8ggDyLgZrgAEAAADyLYZrmAAADADzJmDQEBAAAPMA8gwG',
  'YNAQAAgA8iwGbqY3wAAAgAZrgQAI7YjtC8AHwAAL8AYAAAx0cEAHAAAGa4KAAPANi/AFIAALgNfQAAugAACABmicKJF8dHBACOAAAPARwleH0A',
  'ALAR5iCwIOYhsATmIbAB5iGw/uYhuYEAAMAxwLoIABMADzD/wbj1fAAAMdIPMA8g2A8i2LnufAAAQbsCAgAAvAB4AAAx20gPB4P7AnL7DwW+F3',
  '0AAGa6+AOshMB0A+7r+LAQ5vT06/3/w1CwIOYgWEjPY3JvZnQtcHJvYmU6IGxvbmcgbW9kZSBydW5zCgAPH0AAAAAAAAAAAAAAAAAAAJogAAAA',
  'AAAAkgAAAAAAAADyAAAAAAAAAPogAGcAAGAAiQAAAAAAAAAAAAA3ADh9AAAAAP8CAFA=',
].join('');

/** Disks smaller than this are not offered as bootable by SeaBIOS. */
const diskSize = 1024 * 1024;

/** The probe's disk: the boot sector, then zeros. */
export function probeDisk(): Buffer {
  const disk = Buffer.alloc(diskSize);
  Buffer.from(code, 'base64').copy(disk);
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}
