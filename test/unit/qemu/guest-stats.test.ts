import { describe, expect, it } from 'vitest';
import { filesystemsOf, usersOf } from '../../../appliance/qemu/agent.ts';
import { cpuTimesOf, diskStatsOf } from '../../../appliance/qemu/guest-stats.ts';

describe('figures of a guest', () => {
  it('processor times are counted after the last bracket of the name', () => {
    const stat = '42 (qemu (a) b) S 1 42 42 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 5 0 1234';
    expect(cpuTimesOf(stat)).toEqual({ user: 2.5, system: 0.5 });
  });

  it('disks are those with a name of ours', () => {
    const stats = {
      rd_bytes: 512,
      wr_bytes: 1024,
      rd_operations: 1,
      wr_operations: 2,
      flush_operations: 3,
      wr_total_time_ns: 5e8,
    };
    expect(
      diskStatsOf([
        { qdev: '/machine/peripheral/disk0-root/virtio-backend', stats },
        { qdev: '/machine/peripheral/seed', stats },
      ]),
    ).toEqual([
      {
        name: 'root',
        readBytes: 512,
        writeBytes: 1024,
        reads: 1,
        writes: 2,
        flushes: 3,
        readSeconds: 0,
        writeSeconds: 0.5,
        flushSeconds: 0,
      },
    ]);
  });

  it('what the agent says counts only in its documented shape', () => {
    expect(usersOf([{ user: 'root', 'login-time': 1.5, domain: 'D' }, { user: 7 }, null])).toEqual([
      { name: 'root', domain: 'D', loginTime: 1.5 },
    ]);
    const root = { name: 'vda1', mountpoint: '/', type: 'ext4', 'used-bytes': 1, 'total-bytes': 2, disk: [] };
    expect(filesystemsOf([root, { name: 'x' }])).toEqual([
      { name: 'vda1', mountpoint: '/', type: 'ext4', usedBytes: 1, totalBytes: 2 },
    ]);
    expect(usersOf('nonsense')).toEqual([]);
  });
});
