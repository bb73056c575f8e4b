import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSimDisk, createSimDriver, type SimDriver } from '../../../storage/sim.ts';
import { describeVolumeDriverContract } from '../../contract/volume-driver.ts';

describeVolumeDriverContract('sim', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'croft-sim-'));
  const disk = createSimDisk();
  return {
    driver: createSimDriver(disk),
    reopen: () => createSimDriver(disk),
    write: async (driver, id, offset, length, byte) => (driver as SimDriver).write(id, offset, length, byte),
    reads: async (driver, id, offset, length, byte) => (driver as SimDriver).reads(id, offset, length, byte),
    async imageFile(size, byte) {
      const file = join(directory, randomBytes(4).toString('hex'));
      await writeFile(file, Buffer.concat([Buffer.alloc(2 ** 20, byte), Buffer.alloc(size - 2 ** 20)]));
      return file;
    },
    cleanup: () => rm(directory, { recursive: true, force: true }),
  };
});
