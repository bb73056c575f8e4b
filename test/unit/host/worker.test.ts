import { afterEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../appliance/host/logger.ts';
import { JsonWorker, WorkerError } from '../../../appliance/host/worker.ts';
import { rejectsWith } from '../../contract/volume-driver.ts';
import { eventually } from '../../helpers/eventually.ts';

/** A helper that answers `echo`, refuses `refuse`, works in steps at `steps`, dies at `die` and never answers `hang` or `deaf`. */
const program = `
const { createInterface } = require('node:readline');
const say = (message) => process.stdout.write(JSON.stringify(message) + '\\n');
const operations = {
  ping: (id) => say({ id, result: 'pong' }),
  echo: (id, args) => say({ id, result: args }),
  refuse: (id) => say({ id, error: { errno: 'ENOENT', message: 'none' } }),
  steps: (id) => { let n = 0; const t = setInterval(() => { n++; say({ id, progress: [n, 5] }); if (n === 5) { clearInterval(t); say({ id, result: n }); } }, 300); },
  die: () => { process.stderr.write('last words\\n'); process.exit(3); },
  hang: () => {},
  deaf: () => { for (;;); },
};
createInterface({ input: process.stdin }).on('line', (line) => { const { id, op, args } = JSON.parse(line); operations[op](id, args); }).on('close', () => process.exit(0));
`;

describe('a helper in JSON lines', () => {
  const made: JsonWorker[] = [];
  const start = () => {
    const worker = new JsonWorker({ name: 'Helper', argv: [process.execPath, '-e', program] }, silentLogger());
    made.push(worker);
    return worker;
  };
  afterEach(async () => {
    for (const worker of made.splice(0)) await worker.close();
  });

  it('answers many calls at a time, and says no in its own words', async () => {
    const worker = start();
    const answers = await Promise.all([1, 2, 3].map((n) => worker.call('echo', { n })));
    expect(answers).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    await expect(worker.call('refuse')).rejects.toEqual(new WorkerError('ENOENT', 'none'));
  });

  it('lets progress put the deadline off', async () => {
    const seen: number[] = [];
    const worker = start();
    await worker.call('ping');
    // Five steps of 300 ms: longer than the deadline in all, shorter each.
    expect(await worker.call('steps', {}, { timeout: 1_000, onProgress: (done) => seen.push(done) })).toBe(5);
    expect(seen).toEqual([1, 2, 3, 4, 5]);
  });

  it('gives up what does not answer and keeps a helper that still does', async () => {
    const worker = start();
    await rejectsWith(worker.call('hang', {}, { timeout: 50 }), 'command-timeout');
    const { pid } = worker;
    expect(await worker.call('echo', { n: 1 })).toEqual({ n: 1 });
    expect(worker.pid).toBe(pid);
  });

  it('kills a helper that does not answer at all and starts another', { timeout: 20_000 }, async () => {
    const worker = start();
    await worker.call('ping');
    const { pid } = worker;
    await rejectsWith(worker.call('deaf', {}, { timeout: 50 }), 'command-timeout');
    await eventually(() => worker.pid !== pid);
    expect(await worker.call('echo', { n: 1 })).toEqual({ n: 1 });
  });

  it('tells callers when it dies, with its last words, and comes back', async () => {
    const worker = start();
    const waiting = worker.call('hang');
    const failure = expect(waiting).rejects.toThrow(/ended \(code 3\): last words/);
    await rejectsWith(worker.call('die'), 'unavailable');
    await failure;
    expect(await worker.call('echo', { n: 1 })).toEqual({ n: 1 });
  });

  it('says which program is missing', async () => {
    const worker = new JsonWorker({ name: 'Helper', argv: ['/nowhere/helper'] }, silentLogger());
    await rejectsWith(worker.call('ping'), 'missing-component');
  });
});
