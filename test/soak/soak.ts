/**
 * `npm run soak -- [--suite S] [--rounds N] [--seed X] [--fresh]`: the bad days at full length.
 *
 *   requests  100 batches of 1,000 random API requests: no 5xx, no answer outside its schema, no way past a role
 *   download  2,000 downloads from an image server that breaks, lies and stalls
 *   kills     200 kills of the service at random moments under load
 *   storage   100 faults of Ceph's daemons and disks under verify load (where Ceph is installed)
 *   faults    100 faults of other kinds: QEMU killed or hung, switch, database and DHCP killed, disk full
 *
 * Each round has its own seed, made of the run's seed and the round's number, so a run can be ended at any time and goes
 * on where it was (state in soak/state.json, one line per round in soak/results.ndjson, both below CROFT_CACHE), and one round can
 * be repeated alone: `--suite kills --seed X --from 17 --rounds 1`. What ran is told; nothing is extrapolated.
 */
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '../../appliance/config.ts';
import { messageOf } from '../../appliance/errors.ts';
import { writeFileAtomic } from '../../appliance/host/files.ts';

/** Does one round. @throws when an oracle is hurt */
export type Round = (seed: number) => Promise<string>;
/** Brings up what all rounds of a suite share. */
type Suite = { rounds: number; open: () => Promise<{ round: Round; close: () => Promise<void> }> };

const suites: Record<string, Suite> = {
  requests: { rounds: 100, open: async () => (await import('./requests.ts')).openRequests(1_000) },
  download: { rounds: 2_000, open: async () => (await import('./downloads.ts')).openDownloads() },
  kills: { rounds: 200, open: async () => (await import('./bad-days.ts')).openBadDays(['service']) },
  storage: { rounds: 100, open: async () => (await import('./storage-faults.ts')).openStorageFaults() },
  faults: {
    rounds: 100,
    open: async () => (await import('./bad-days.ts')).openBadDays(['qemu', 'qmp', 'vswitchd', 'ovsdb', 'dnsmasq', 'disk']),
  },
};

type Progress = { seed: number; done: number; failed: number[] };
type State = Record<string, Progress>;

/** Ctrl-C ends the run after the present round, which then leaves nothing behind. */
const ended = new AbortController();

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const directory = join(loadConfig().cache, 'soak');
const statePath = join(directory, 'state.json');

async function readState(): Promise<State> {
  try {
    return JSON.parse(await readFile(statePath, 'utf8')) as State;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}

/** A round's own seed: far from its neighbours'. */
export const seedOf = (seed: number, round: number): number => Math.imul(seed ^ (round * 0x9e37_79b1), 0x85eb_ca6b) >>> 1;

async function soak(name: string, suite: Suite, wish: { rounds?: number; seed?: number; from?: number; fresh: boolean }) {
  const state = await readState();
  const before = wish.fresh || wish.from !== undefined ? undefined : state[name];
  const keep = before && (wish.seed === undefined || wish.seed === before.seed) ? before : undefined;
  const progress: Progress = keep ?? { seed: wish.seed ?? Math.floor(Math.random() * 2 ** 31), done: wish.from ?? 0, failed: [] };
  const end = wish.from === undefined ? (wish.rounds ?? suite.rounds) : wish.from + (wish.rounds ?? 1);
  say(
    `${name}: seed ${progress.seed}, round ${progress.done} of ${end}${keep && keep.done > 0 ? ' (goes on where it was)' : ''}`,
  );
  if (progress.done >= end) return progress;
  let opened = await suite.open();
  try {
    while (progress.done < end && !ended.signal.aborted) {
      const round = progress.done;
      const seed = seedOf(progress.seed, round);
      const from = performance.now();
      let result: string;
      try {
        result = `ok: ${await opened.round(seed)}`;
      } catch (error) {
        result = `FAILED: ${messageOf(error)}`;
        progress.failed.push(round);
        // What a hurt round leaves would blame the next ones.
        await opened.close();
        opened = await suite.open();
      }
      progress.done = round + 1;
      const seconds = ((performance.now() - from) / 1_000).toFixed(1);
      say(`${name} ${round} (seed ${seed}, ${seconds} s) ${result}`);
      await appendFile(
        join(directory, 'results.ndjson'),
        `${JSON.stringify({ at: new Date().toISOString(), suite: name, run: progress.seed, round, seed, seconds: Number(seconds), result })}\n`,
      );
      if (wish.from === undefined) await writeFileAtomic(statePath, JSON.stringify({ ...(await readState()), [name]: progress }));
    }
  } finally {
    await opened.close();
  }
  return progress;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      suite: { type: 'string' },
      rounds: { type: 'string' },
      seed: { type: 'string' },
      from: { type: 'string' },
      fresh: { type: 'boolean', default: false },
    },
  });
  const number = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));
  const wish = { rounds: number(values.rounds), seed: number(values.seed), from: number(values.from), fresh: values.fresh };
  const names = values.suite === undefined ? Object.keys(suites) : values.suite.split(',');
  await mkdir(directory, { recursive: true });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ended.abort());
  let failed = 0;
  for (const name of names) {
    const suite = suites[name];
    if (!suite) throw new Error(`--suite: ${name} is none of ${Object.keys(suites).join(', ')}`);
    const progress = await soak(name, suite, wish);
    failed += progress.failed.length;
    say(
      `${name}: ${progress.done} rounds ran, ${progress.failed.length} failed${progress.failed.length > 0 ? ` (${progress.failed.join(', ')}; repeat one with --seed ${progress.seed} --from N)` : ''}`,
    );
  }
  if (failed > 0) process.exitCode = 1;
}

if (import.meta.main) await main();
