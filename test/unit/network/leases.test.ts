/** Leases of a network as they are followed on the disk, with what dnsmasq does to its file and what inotify may miss. */
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  renameSync,
  mkdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { DhcpServer } from '../../../network/dhcp/server.ts';
import { eventually } from '../../helpers/eventually.ts';

const mac = '52:54:00:00:00:01';
const line = (address: string) => `${Math.floor(Date.now() / 1000) + 3600} ${mac} ${address} guest 01:${mac}\n`;

describe('leases of a network', () => {
  let directory: string;
  let server: DhcpServer;
  let told = 0;
  const leases = () => join(directory, 'data', 'leases');
  const known = () => server.leases[0]?.address;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'croft-l-'));
    told = 0;
    server = new DhcpServer({
      directory: join(directory, 'data'),
      runDirectory: join(directory, 'run'),
      user: { name: 'root', uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
      logger: silentLogger(),
      onLeases: () => told++,
    });
    await server.load();
  });

  afterEach(() => {
    server.release();
    rmSync(directory, { recursive: true, force: true });
  });

  it('are known after each rewriting in place, which leaves the file empty for a moment', async () => {
    const file = openSync(join(leases(), 'dnsmasq.leases'), 'a');
    for (let round = 1; round <= 50; round++) {
      ftruncateSync(file, 0);
      // An event between the two: a read may begin on the empty file.
      if (round % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
      writeSync(file, line(`10.99.20.${round}`));
      await eventually(() => known() === `10.99.20.${round}`, { timeout: 2_000 });
    }
    closeSync(file);
    expect(told).toBeGreaterThanOrEqual(50);
  });

  it('are found without an event too', { timeout: 20_000 }, async () => {
    // The watch stays with the directory that was moved away.
    renameSync(leases(), join(directory, 'moved'));
    mkdirSync(leases());
    await new Promise((resolve) => setTimeout(resolve, 100)); // Events of the move itself.
    writeFileSync(join(leases(), 'dnsmasq.leases'), line('10.99.20.7'));
    await eventually(() => known() === '10.99.20.7', { timeout: 10_000 });
    await eventually(() => told > 0);
  });
});
