/**
 * Snapshots, restores and clones of real guests, driven by the CLI: a file written in a running guest is its witness.
 * The parts follow each other on one box.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBox, signIn, type TestBox } from '../helpers/box.ts';
import { eventually } from '../helpers/eventually.ts';
import { tinyImage } from '../helpers/tiny-image.ts';

let box: TestBox;

/** The data disk in the guest: by its size, before and after it is grown. */
const find = 'D=/dev/$(grep -lxE "131072|262144" /sys/block/vd*/size | cut -d/ -f4)';

/** tiny keeps nothing of its root file system: a disk of its own carries the witness. */
const write = async (name: string, text: string): Promise<void> => {
  const { code } = await box.guest(name, `${find}; echo ${text} | dd of=$D bs=512 conv=sync,fsync 2>/dev/null`);
  expect(code).toBe(0);
};
const read = async (name: string): Promise<string | undefined> => {
  const { output } = await box.guest(name, `${find}; echo 3 >/proc/sys/vm/drop_caches; echo "=$(head -n 1 $D)="`);
  return output.match(/^=(\w+)=/m)?.[1];
};

beforeAll(async () => {
  const image = await tinyImage();
  box = await createBox();
  await box.start();
  await box.croft(['image', 'add', image, '--name', 'tiny-test', '--timeout', '60s']);
  await box.croft([
    'vm',
    'create',
    'a',
    '--image',
    'tiny-test',
    '--cpus',
    '1',
    '--memory',
    '128Mi',
    '--disk',
    'size=64Mi,name=data',
  ]);
  await signIn(box, 'a');
}, 120_000);

afterAll(async () => {
  await box?.dispose();
}, 60_000);

describe('a running VM', () => {
  it('is frozen while it runs, changed, and put back in one operation', { timeout: 240_000 }, async () => {
    await write('a', 'first');
    const from = performance.now();
    await box.croft(['snapshot', 'create', 'a', 's1']);
    console.log(`snapshot of a running VM: ${(performance.now() - from).toFixed(0)} ms with the CLI`);
    await write('a', 'second');
    expect(await read('a')).toBe('second');
    const pid = await box.pidOf('a');
    await box.croft(['snapshot', 'restore', 'a', 's1', '--yes']);
    await box.croft(['vm', 'wait', 'a', 'running', '--timeout', '30s']);
    expect(await box.pidOf('a')).not.toBe(pid);
    await signIn(box, 'a');
    expect(await read('a')).toBe('first');
    const { stdout } = await box.croft(['snapshot', 'list', 'a', '-o', 'json']);
    expect(stdout).toContain('before-restore-');
  });

  it('grows a disk under the guest', { timeout: 120_000 }, async () => {
    await box.croft(['vm', 'grow-disk', 'a', 'data', '--size', '128Mi']);
    await eventually(async () => expect((await box.guest('a', 'cat /sys/block/vd*/size')).output).toContain('262144'), {
      timeout: 20_000,
    });
  });

  it('is cloned while it runs; the clone boots with the disk as it was', { timeout: 240_000 }, async () => {
    await box.croft(['vm', 'clone', 'a', 'b', '--start']);
    await box.croft(['vm', 'wait', 'b', 'running', '--timeout', '30s']);
    await signIn(box, 'b');
    expect(await read('b')).toBe('first');
    expect((await box.vm('b')).nics[0]?.mac).not.toBe((await box.vm('a')).nics[0]?.mac);
    await write('b', 'other');
    expect(await read('a')).toBe('first');
    await box.croft(['vm', 'delete', 'b', '--yes']);
    await eventually(async () => expect((await box.croft(['volume', 'list', '-o', 'json'])).stdout).not.toContain('"b-'), {
      timeout: 30_000,
    });
  });
});

describe('a service that is killed in the middle of a restore', () => {
  it('completes it when it returns', { timeout: 240_000 }, async () => {
    await write('a', 'third');
    await box.croft(['snapshot', 'restore', 'a', 's1', '--yes', '--no-wait']);
    await box.kill();
    await box.start();
    await eventually(
      async () => {
        // The task, not the event: an event that was about to be written when the service was killed is not made up for.
        const { stdout } = await box.croft(['task', 'list', '-o', 'json']);
        const { items } = JSON.parse(stdout) as { items: { verb: string; state: string; error?: unknown }[] };
        const restores = items.filter(({ verb }) => verb === 'vm.restore');
        expect(
          restores.map(({ state }) => state),
          JSON.stringify(restores),
        ).toEqual(['succeeded', 'succeeded']);
      },
      { timeout: 60_000, interval: 500 },
    );
    await box.croft(['vm', 'wait', 'a', 'running', '--timeout', '30s']);
    await signIn(box, 'a');
    expect(await read('a')).toBe('first');
  });
});

describe('deletion', () => {
  it('takes the snapshots away, and with the VM all that is left of it', { timeout: 120_000 }, async () => {
    await box.croft(['snapshot', 'delete', 'a', 's1', '--yes']);
    await box.croft(['vm', 'delete', 'a', '--yes']);
    await eventually(async () => expect((await box.croft(['volume', 'list', '-o', 'json'])).stdout).not.toContain('"a-'), {
      timeout: 20_000,
    });
  });
});
