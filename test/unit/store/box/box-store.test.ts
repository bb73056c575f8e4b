import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EventRecord } from '../../../../appliance/reconcile/events.ts';
import type { Task } from '../../../../appliance/reconcile/tasks.ts';
import { keepFor, openBoxStore, type BoxStore } from '../../../../appliance/store/box/box-store.ts';
import { etaOf, withStep } from '../../../../appliance/store/box/tasks.ts';
import { firstUid } from '../../../../appliance/store/box/uids.ts';

let directory: string;
let box: BoxStore;
let time: number;
const day = 24 * 3_600_000;
const open = (limits = {}): BoxStore => openBoxStore(join(directory, 'box.db'), { now: () => time, limits });
const reopen = async (limits = {}): Promise<void> => {
  await box.close();
  box = open(limits);
};
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'croft-box-'));
  time = Date.parse('2026-01-01T00:00:00Z');
  box = open();
});
afterEach(async () => {
  await box.close();
  rmSync(directory, { recursive: true });
});

const about = { verb: 'image.build', target: { kind: 'Image', name: 'tiny' } };

describe('tasks', () => {
  it('keeps the steps it went through: what only counts on is one step, and there are never many', () => {
    const steps = (...texts: string[]) => texts.reduce<Task['log']>((log, text, at) => withStep(log, { at: `t${at}`, text }), []);
    expect(steps('sent 1 MiB', 'sent 2.5 MiB', 'sent 1 GiB', 'converting')).toEqual([
      { at: 't0', text: 'sent 1 GiB' },
      { at: 't3', text: 'converting' },
    ]);
    const many = steps('begin', ...Array.from({ length: 500 }, (_, at) => 'x'.repeat(at + 1)));
    expect(many).toHaveLength(60);
    expect(many?.[0]?.text).toBe('begin');
    expect(many?.at(-1)?.text).toHaveLength(500);
  });

  it('run to their end with progress that never goes back', async () => {
    const told: Task[] = [];
    box.tasks.subscribe((task) => told.push(task));
    const result = await box.tasks.run({ ...about, by: 'admin' }, async (handle) => {
      handle.progress(0.5, 'unpacking');
      handle.progress(0.2);
      handle.progress(Number.NaN);
      time += 10_000;
      handle.progress(0.5);
      return 7;
    });
    expect(result).toBe(7);
    expect(told.map(({ state, progress, etaSeconds }) => [state, progress, etaSeconds])).toEqual([
      ['running', 0, undefined],
      ['running', 0.5, undefined],
      ['running', 0.5, undefined],
      ['running', 0.5, undefined],
      ['running', 0.5, 10],
      ['succeeded', 1, undefined],
    ]);
    expect(box.tasks.list()).toMatchObject([
      { ...about, by: 'admin', state: 'succeeded', step: 'unpacking', cancellable: false },
    ]);
  });

  it('record failures and throw them on', async () => {
    await expect(box.tasks.run(about, async () => Promise.reject(new Error('no space')))).rejects.toThrow('no space');
    expect(box.tasks.list({ state: 'failed' })).toMatchObject([{ error: { code: 'internal', detail: 'no space' } }]);
    await reopen();
    expect(box.tasks.list()).toHaveLength(1);
    expect(box.tasks.interrupted()).toEqual([]);
  });

  it('can be cancelled where they allow it', async () => {
    const wait = (signal: AbortSignal) =>
      new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    const running = box.tasks.run({ ...about, cancellable: true }, ({ signal }) => wait(signal));
    const [task] = box.tasks.list({ state: 'running' });
    expect(box.tasks.cancel(task?.id ?? '').state).toBe('running');
    await expect(running).rejects.toThrow('was cancelled');
    expect(box.tasks.get(task?.id ?? '')?.state).toBe('cancelled');
    expect(() => box.tasks.cancel(task?.id ?? '')).toThrow('has ended already');
    expect(() => box.tasks.cancel('none')).toThrow('There is no task none');
    const gate = Promise.withResolvers<void>();
    const stubborn = box.tasks.run(about, () => gate.promise);
    expect(() => box.tasks.cancel(box.tasks.list({ state: 'running' })[0]?.id ?? '')).toThrow('cannot be cancelled');
    gate.resolve();
    await stubborn;
  });

  it('cut off by the end of the service are failed, and can be taken up again', async () => {
    const work = box.tasks.run(about, (handle) => {
      handle.progress(0.4);
      time += 2_000;
      handle.progress(0.5);
      return new Promise<void>((_resolve, reject) => handle.signal.addEventListener('abort', () => reject(new Error('stopped'))));
    });
    const caught = expect(work).rejects.toThrow('stopped');
    await box.close();
    await caught;
    box = open();
    expect(box.tasks.list()).toMatchObject([{ state: 'failed', error: { code: 'unavailable' } }]);

    // A killed service stops nothing: its tasks are still marked running.
    const stuck = Promise.withResolvers<void>();
    const killed = box.tasks.run(about, () => stuck.promise);
    const id = box.tasks.list({ state: 'running' })[0]?.id ?? '';
    const { DatabaseSync } = await import('node:sqlite');
    stuck.resolve();
    await killed;
    await box.close();
    const raw = new DatabaseSync(join(directory, 'box.db'));
    raw.exec(
      `UPDATE tasks SET state = 'running', json = json_set(json, '$.state', 'running', '$.progress', 0.3) WHERE id = '${id}'`,
    );
    raw.close();
    box = open();
    expect(box.tasks.get(id)).toMatchObject({
      state: 'failed',
      error: { detail: expect.stringContaining('service was ended') as string },
    });
    expect(box.tasks.interrupted()).toMatchObject([{ id }]);
    await box.tasks.resume(id, async (handle) => handle.progress(0.1));
    expect(box.tasks.get(id)).toMatchObject({ state: 'succeeded', progress: 1 });
    expect(box.tasks.get(id)?.error).toBeUndefined();
    await expect(box.tasks.resume(id, async () => undefined)).rejects.toThrow('was not cut off');
  });

  it('are bounded by count and age', async () => {
    for (let index = 0; index < 5; index++) {
      time += 1_000;
      await box.tasks.run({ ...about, target: { kind: 'Image', name: `i${index}` } }, async () => undefined);
    }
    await reopen({ tasks: 2 });
    expect(box.tasks.list().map(({ target }) => target.name)).toEqual(['i4', 'i3']);
    time += keepFor + 1;
    await reopen();
    expect(box.tasks.list()).toEqual([]);
  });

  it('estimate only from a pace worth the name', () => {
    expect(etaOf(0, 0, 0.01, 60_000)).toBeUndefined();
    expect(etaOf(0, 0, 0.5, 500)).toBeUndefined();
    expect(etaOf(0, 0, 1, 60_000)).toBeUndefined();
    expect(etaOf(0, 0, 0.25, 30_000)).toBe(90);
    expect(etaOf(0, 0.5, 0.75, 30_000)).toBe(30);
  });
});

describe('events', () => {
  const event = (name: string, project?: string) => ({
    type: 'Normal' as const,
    reason: 'Started',
    message: 'It runs.',
    about: { kind: 'VirtualMachine', name, ...(project === undefined ? {} : { project }) },
  });

  it('are numbered, listed newest first, and told to subscribers', async () => {
    const told: EventRecord[] = [];
    const stop = box.events.subscribe((one) => told.push(one));
    box.events.record(event('a', 'p'));
    box.events.record(event('b', 'p'));
    stop();
    await reopen();
    box.events.record(event('a', 'q'));
    expect(told.map(({ seq }) => seq)).toEqual([1, 2]);
    expect(box.events.list().map(({ seq }) => seq)).toEqual([3, 2, 1]);
    expect(box.events.list({ name: 'a', project: 'p' })).toEqual([told[0]]);
    expect(box.events.list({ limit: 1 })).toHaveLength(1);
  });

  it('are bounded by count and age', async () => {
    await reopen({ events: 10 });
    for (let index = 0; index < 200; index++) box.events.record(event(`v${index}`));
    expect(box.events.list().map(({ seq }) => seq)).toEqual([200, 199, 198, 197, 196, 195, 194, 193, 192, 191]);
    time += keepFor + 1;
    await reopen();
    box.events.record(event('new'));
    expect(box.events.list().map(({ seq }) => seq)).toEqual([201]);
  });
});

it('keeps an audit log, by page and by who', async () => {
  const entry = { from: '127.0.0.1', verb: 'vm.create', target: 'vms/default/web', result: 'ok' };
  for (const who of ['admin', 'token:ci', 'admin']) box.audit.append({ who, ...entry });
  box.audit.append({ who: 'admin', ...entry, target: 'vms/default/db', traceId: 't1' });
  expect(box.audit.list({ limit: 2 }).map(({ seq }) => seq)).toEqual([4, 3]);
  expect(box.audit.list({ before: 3 }).map(({ seq }) => seq)).toEqual([2, 1]);
  expect(box.audit.list({ who: 'admin', target: entry.target }).map(({ seq }) => seq)).toEqual([3, 1]);
  await reopen({ audit: 50 });
  for (let index = 0; index < 200; index++) box.audit.append({ who: 'x', ...entry });
  expect(box.audit.list({ limit: 1_000 })).toHaveLength(54);
  time += 366 * day;
  for (let index = 0; index < 100; index++) box.audit.append({ who: 'y', ...entry });
  expect(new Set(box.audit.list({ limit: 1_000 }).map(({ who }) => who))).toEqual(new Set(['y']));
});

it('does a request under a key once for 24 h', async () => {
  const keys = () => box.idempotency;
  expect(keys().begin('k', 'r')).toEqual({ state: 'new' });
  expect(keys().begin('k', 'r')).toEqual({ state: 'running' });
  expect(keys().begin('k', 'other')).toEqual({ state: 'mismatch' });
  keys().finish('k', '{"status":201}');
  expect(keys().begin('k', 'r')).toEqual({ state: 'done', answer: '{"status":201}' });
  keys().begin('failed', 'r');
  keys().forget('failed');
  expect(keys().begin('failed', 'r')).toEqual({ state: 'new' });
  await reopen();
  expect(keys().begin('failed', 'r')).toEqual({ state: 'new' });
  expect(keys().begin('k', 'r').state).toBe('done');
  time += day + 1;
  expect(keys().begin('k', 'r')).toEqual({ state: 'new' });
});

it('keeps sessions to their end', async () => {
  box.sessions.put('h1', 'admin', time + day);
  box.sessions.put('h2', 'admin', time + day);
  box.sessions.put('h3', 'eve', time + day);
  await reopen();
  expect(box.sessions.get('h1')).toMatchObject({ user: 'admin', expires: time + day });
  time += 120_000;
  box.sessions.touch('h1', time + day);
  expect(box.sessions.get('h1')).toMatchObject({ seen: time, expires: time + day });
  expect(box.sessions.removeOf('admin', 'h1')).toBe(1);
  expect(box.sessions.get('h2')).toBeUndefined();
  box.sessions.remove('h3');
  expect(box.sessions.get('h3')).toBeUndefined();
  time += day;
  expect(box.sessions.get('h1')).toBeUndefined();
});

it('gives each VM a uid of its own, and does not give it again soon', async () => {
  expect(box.uids.allocate('a')).toBe(firstUid);
  expect(box.uids.allocate('b')).toBe(firstUid + 1);
  expect(box.uids.allocate('a')).toBe(firstUid);
  box.uids.release('a');
  expect(box.uids.get('a')).toBeUndefined();
  await reopen();
  expect(box.uids.allocate('c')).toBe(firstUid + 2);
  expect(box.uids.allocate('a')).toBe(firstUid);
  expect([...box.uids.list()]).toEqual([
    ['a', firstUid],
    ['b', firstUid + 1],
    ['c', firstUid + 2],
  ]);
});

it('keeps a journal in order of its keys', async () => {
  for (const key of ['b/2', 'a/1', 'b/1', 'b%', 'c']) box.journal.put(key, `v ${key}`);
  box.journal.put('b/1', 'again');
  box.journal.delete('c');
  await reopen();
  expect(box.journal.get('b/1')).toBe('again');
  expect(box.journal.get('c')).toBeUndefined();
  expect(box.journal.list('b/')).toEqual([
    { key: 'b/1', value: 'again' },
    { key: 'b/2', value: 'v b/2' },
  ]);
  expect(box.journal.list('')).toHaveLength(4);
});

it('lets a one-time link be used once, in time, and for its purpose', async () => {
  box.oneTime.put('h', 'setup', 'payload', time + 60_000);
  expect(box.oneTime.take('h', 'console')).toBeUndefined();
  await reopen();
  expect(box.oneTime.take('h', 'setup')).toBe('payload');
  expect(box.oneTime.take('h', 'setup')).toBeUndefined();
  box.oneTime.put('late', 'setup', 'p', time + 60_000);
  box.oneTime.put('old', 'setup', 'p', time + 600_000);
  time += 60_000;
  expect(box.oneTime.take('late', 'setup')).toBeUndefined();
  box.oneTime.removeAll('setup');
  expect(box.oneTime.take('old', 'setup')).toBeUndefined();
});

it('keeps no more one-time links of a kind than it was told', () => {
  box.oneTime.put('other', 'setup', 'p', time + 1_000);
  for (let index = 0; index < 5; index++) box.oneTime.put(`d${index}`, 'device:ana', 'p', time + 1_000 + index, 3);
  const there = ['d0', 'd1', 'd2', 'd3', 'd4'].map((hash) => box.oneTime.take(hash, 'device:ana') !== undefined);
  expect(there).toEqual([false, false, true, true, true]);
  expect(box.oneTime.take('other', 'setup')).toBe('p');
});
