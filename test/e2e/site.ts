/** A running Croft for end-to-end tests: its address, the set-up link, the command line beside it. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { silentLogger } from '../../appliance/host/logger.ts';
import { run } from '../../appliance/host/exec.ts';
import { ensureConsole } from '../../ui-api/console/build.ts';
import { createBox, type TestBox } from '../helpers/box.ts';
import { eventually } from '../helpers/eventually.ts';
import { tinyImage } from '../helpers/tiny-image.ts';

export type Site = {
  url: string;
  setupUrl: string;
  /** Put before a program that must reach the site, e.g. `ip netns exec NAME`; empty when it listens on loopback here. */
  launcher: readonly string[];
  /** Runs `croft …` as local root; resolves to what it printed. */
  croft(...args: string[]): Promise<string>;
  stop(): Promise<void>;
};

const main = join(import.meta.dirname, '../../appliance/main.ts');
const startTimeout = 30_000;

type DevOptions = {
  /** Puts something into the data directory before the first start. */
  prepare?: (data: string) => Promise<void>;
  env?: Record<string, string>;
};

/** The whole product on simulated drivers, in directories of its own. */
export async function startDevSite({ prepare, env = {} }: DevOptions = {}): Promise<Site> {
  await ensureConsole({ logger: silentLogger() });
  const home = await mkdtemp(join(tmpdir(), 'croft-e2e-'));
  const directories = { data: join(home, 'data'), run: join(home, 'run') };
  await prepare?.(directories.data);
  const child = spawn(
    process.execPath,
    [main, 'dev', '--listen', '127.0.0.1:0', '--data', directories.data, '--run', directories.run],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, CROFT_LOG: 'warn', ...env } },
  );
  const ended = once(child, 'exit');
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    await rm(home, { recursive: true, force: true });
  };
  try {
    const { url, setupUrl } = await greeting(child.stdout, child.stderr);
    const croft = async (...args: string[]) => {
      const { stdout } = await run([process.execPath, main, ...args], {
        timeout: 60_000,
        env: { CROFT_RUN: directories.run, NO_COLOR: '1' },
      });
      return stdout;
    };
    return { url, setupUrl, launcher: [], croft, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Reads the line that a start ends with. */
export function greeting(
  stdout: NodeJS.ReadableStream,
  stderr: NodeJS.ReadableStream,
): Promise<{ url: string; setupUrl: string }> {
  return new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(
      () => reject(new Error(`Croft did not start within ${startTimeout} ms; it said: ${said}`)),
      startTimeout,
    );
    const hear = (chunk: unknown) => {
      said += String(chunk);
      const url = /Croft is ready at (\S+)/.exec(said)?.[1];
      const setupUrl = /(https?:\/\/\S+\/setup#\S+)/.exec(said)?.[1];
      if (!url || !setupUrl) return;
      clearTimeout(timer);
      resolve({ url, setupUrl });
    };
    stdout.on('data', hear);
    stderr.on('data', hear);
  });
}

/** The real service with real guests, in a network namespace of its own; `box` can kill and start it. */
/**
 * The browser shares the box's namespace, and ends what it loads when an address there changes (ERR_NETWORK_CHANGED).
 * The networks' own legs get their IPv6 address seconds after they were made, so it is begun after that.
 */
async function addressesSettled(box: TestBox): Promise<void> {
  await eventually(
    async () => {
      const { stdout: legs } = await box.inside(['ip', '-6', '-o', 'address', 'show', 'scope', 'link']);
      return legs.includes(' cn') && !legs.includes('tentative');
    },
    { timeout: 20_000, interval: 200 },
  );
}

export async function startRealSite(): Promise<Site & { box: TestBox }> {
  const image = await tinyImage();
  await ensureConsole({ logger: silentLogger() });
  const box = await createBox();
  try {
    await box.start();
    await box.croft(['image', 'add', image, '--name', 'guest', '--timeout', '60s'], { timeout: 120_000 });
    await addressesSettled(box);
    return {
      box,
      url: box.url,
      setupUrl: box.setupUrl ?? '',
      launcher: ['ip', 'netns', 'exec', box.namespace],
      croft: async (...args) => (await box.croft(args, { env: { NO_COLOR: '1' } })).stdout,
      stop: () => box.dispose(),
    };
  } catch (error) {
    await box.dispose();
    throw error;
  }
}
