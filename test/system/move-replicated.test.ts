/**
 * A disk under verify load that goes from a local pool to a replicated one and back: real QEMU, real Ceph on files.
 * Moved, cancelled, cut off by a killed service in either direction, then closed. At each point there is one disk, with
 * every acknowledged write.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBox, signIn, type TestBox } from '../helpers/box.ts';
import { cephMissing } from '../helpers/ceph-missing.ts';
import { eventually } from '../helpers/eventually.ts';
import { startGuestLoad, type GuestLoad } from '../helpers/guest-load.ts';
import { tinyImage } from '../helpers/tiny-image.ts';
import { usedComponent } from '../report/components.ts';

const figure = (text: string): void => void process.stdout.write(`figure: ${text}\n`);

type Task = { state: string; progress: number; error?: { detail: string } };

describe.skipIf(cephMissing() !== undefined)('a disk between a local and a replicated pool', () => {
  let box: TestBox;
  let load: GuestLoad;
  let data = '';
  let sum = '';

  const json = async <T>(...args: string[]): Promise<T> => JSON.parse((await box.croft([...args, '-o', 'json'])).stdout) as T;
  const volume = () => json<{ id: string; pool: string }>('volume', 'show', data);
  const task = (id: string) => json<Task>('task', 'show', id);

  /** The pools that have bytes of the volume. */
  const holders = async (): Promise<string[]> => {
    const { id } = await volume();
    const local = await readdir(join(box.directory, 'data/pools/local/volumes'));
    const conf = join(box.directory, 'data/ceph/ceph.conf');
    const { stdout } = await box.inside(['rbd', '-c', conf, 'ls', 'replicated'], { timeout: 20_000 });
    return [...(local.includes(id) ? ['local'] : []), ...(stdout.includes(`vol-${id}.`) ? ['replicated'] : [])];
  };
  const isOnlyIn = async (pool: string): Promise<void> => {
    expect(await volume()).toMatchObject({ pool });
    expect(await holders()).toEqual([pool]);
  };

  const sumOfData = async (): Promise<string> => {
    const read = 'echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vdb bs=1M skip=8 count=40 2>/dev/null | sha256sum';
    return /[0-9a-f]{64}/.exec((await box.guest('m1', read, '90s')).output)?.[0] ?? 'none';
  };

  const beginSlowly = async (pool: string): Promise<string> => {
    const id = (await box.croft(['volume', 'move', data, '--pool', pool, '--bandwidth', '2Mi', '--no-wait'])).stdout.trim();
    await eventually(
      async () => {
        const { state, progress, error } = await task(id);
        if (state !== 'running') throw new Error(`the task is ${state}: ${error?.detail}`);
        return progress > 0;
      },
      { timeout: 60_000, interval: 300 },
    );
    expect(await holders()).toEqual(['local', 'replicated']);
    return id;
  };

  const move = async (pool: string): Promise<void> => {
    const started = performance.now();
    await box.croft(['vm', 'move-disk', 'm1', 'data', '--pool', pool, '--timeout', '120s']);
    figure(`128 MiB moved live to ${pool} in ${Math.round(performance.now() - started)} ms`);
    await isOnlyIn(pool);
    await load.goesOn();
  };

  const cancel = async (pool: string): Promise<void> => {
    const { pool: before } = await volume();
    const id = await beginSlowly(pool);
    await box.croft(['task', 'cancel', id]);
    await eventually(async () => (await task(id)).state === 'cancelled', { timeout: 60_000, interval: 300 });
    await isOnlyIn(before);
    await load.goesOn();
  };

  const cut = async (pool: string): Promise<void> => {
    const id = await beginSlowly(pool);
    await box.kill();
    const [seen, logged] = [await load.last(), await load.count()];
    await box.start();
    await load.goesOn();
    // It wrote while nobody was there to note it.
    expect((await load.last()) - seen).toBeGreaterThan((await load.count()) - logged);
    await eventually(
      async () => {
        const { state, error } = await task(id);
        if (state !== 'succeeded' && state !== 'running') throw new Error(`the task is ${state}: ${error?.detail}`);
        return state === 'succeeded';
      },
      { timeout: 180_000, interval: 500 },
    );
    await isOnlyIn(pool);
    await load.goesOn();
  };

  beforeAll(async () => {
    const image = await tinyImage();
    box = await createBox();
    await box.start();
    const disks = ['a', 'b'].flatMap((name) => ['--disk', join(box.directory, `osd-${name}`)]);
    await box.croft(['pool', 'init', 'replicated', ...disks, '--size', '3Gi', '--timeout', '150s']);
    await box.croft(['image', 'add', image, '--name', 'tiny-test', '--timeout', '60s']);
    await box.croft(['vm', 'create', 'm1', '--image', 'tiny-test', '--cpus', '1', '--memory', '160Mi']);
    await box.croft(['vm', 'attach', 'm1', '--size', '128Mi', '--name', 'data']);
    await signIn(box, 'm1');
    await box.guest('m1', 'dd if=/dev/urandom of=/dev/vdb bs=1M seek=8 count=40 conv=fsync', '120s');
    const { disks: present } = await json<{ disks: { name: string; volume: string }[] }>('vm', 'show', 'm1');
    data = present.find(({ name }) => name === 'data')?.volume as string;
    sum = await sumOfData();
    load = await startGuestLoad(box, 'm1', '/dev/vdb');
  }, 240_000);

  afterAll(async () => {
    await box?.dispose();
  }, 90_000);

  it('moves there and back while it is written to', { timeout: 240_000 }, async () => {
    usedComponent({ component: 'QEMU', mode: 'real', note: 'TCG' });
    usedComponent({ component: 'Ceph', mode: 'real', note: 'disks are files' });
    await move('replicated');
    await move('local');
  });

  it('stays when it is cancelled, in either direction', { timeout: 240_000 }, async () => {
    await cancel('replicated');
    await move('replicated');
    await cancel('local');
  });

  it('arrives though the service is killed in the middle, in either direction', { timeout: 400_000 }, async () => {
    const pid = await box.pidOf('m1');
    await cut('local');
    await cut('replicated');
    expect(await box.pidOf('m1')).toBe(pid);
    const result = await load.end();
    figure(`${result.writes} acknowledged writes, ${result.lost} lost, worst stall ${result.stallMs} ms`);
    expect(result.lost).toBe(0);
    expect(await sumOfData()).toBe(sum);
  });

  it('moves closed, and is begun anew where the service was killed', { timeout: 300_000 }, async () => {
    await box.croft(['vm', 'stop', 'm1']);
    await box.croft(['volume', 'move', data, '--pool', 'local', '--timeout', '120s']);
    await isOnlyIn('local');
    const id = (await box.croft(['volume', 'move', data, '--pool', 'replicated', '--no-wait'])).stdout.trim();
    await box.kill();
    await box.start();
    await eventually(async () => (await task(id)).state === 'succeeded', { timeout: 120_000, interval: 500 });
    await isOnlyIn('replicated');
    await box.croft(['vm', 'start', 'm1', '--timeout', '90s']);
    await signIn(box, 'm1');
    expect(await sumOfData()).toBe(sum);
  });

  it('snapshots two replicated disks at one instant', { timeout: 240_000 }, async () => {
    const names = ['one', 'two'];
    for (const name of names) {
      await box.croft(['volume', 'create', name, '--size', '16Mi', '--pool', 'replicated']);
      await box.croft(['vm', 'attach', 'm1', '--volume', name, '--name', name]);
    }
    // Each number first to the one, then to the other: at every instant the second has the same or the one before.
    const script = [
      'set -- $(grep -lx 32768 /sys/block/vd*/size | cut -d/ -f4)',
      'i=0',
      'while ! test -e /tmp/stamp-stop; do i=$((i+1))',
      'for d in $1 $2; do printf "%-4096d" $i | dd of=/dev/$d bs=4096 conv=notrunc,fsync 2>/dev/null; done; done',
    ].join('\n');
    const encoded = Buffer.from(script).toString('base64');
    await box.guest('m1', `echo ${encoded} | base64 -d >/tmp/stamp; (sh /tmp/stamp &); sleep 2`);
    const rounds = 6;
    for (let round = 0; round < rounds; round++) await box.croft(['snapshot', 'create', 'm1', `at-${round}`, '--timeout', '60s']);
    await box.guest('m1', 'touch /tmp/stamp-stop; sleep 1');

    const conf = join(box.directory, 'data/ceph/ceph.conf');
    const stampsOf = async (name: string): Promise<number[]> => {
      const { id } = await json<{ id: string }>('volume', 'show', name);
      const image = `replicated/vol-${id}.g1`;
      const { stdout } = await box.inside(['rbd', '-c', conf, 'snap', 'ls', image, '--format', 'json']);
      const stamps: number[] = [];
      for (const snapshot of (JSON.parse(stdout) as { id: number; name: string }[]).toSorted((a, b) => a.id - b.id)) {
        const read = `rbd -c ${conf} export --no-progress ${image}@${snapshot.name} - | head -c 4096`;
        stamps.push(Number((await box.inside(['sh', '-c', read], { timeout: 60_000 })).stdout));
      }
      return stamps;
    };
    const [a, b] = [await stampsOf('one'), await stampsOf('two')];
    figure(`stamps of two disks in ${rounds} snapshots: ${a.map((stamp, index) => `${stamp}/${b[index]}`).join(' ')}`);
    expect(a).toHaveLength(rounds);
    expect(new Set(a).size).toBeGreaterThan(1);
    // Which of the two the guest saw first is its own affair, but it is the same in all.
    const leads = a.map((stamp, index) => stamp - (b[index] as number));
    expect(leads.every((lead) => lead === 0 || lead === 1) || leads.every((lead) => lead === 0 || lead === -1)).toBe(true);
  });
});
