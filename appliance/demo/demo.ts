/**
 * `croft demo`: in two minutes, what Croft does, on a box of its own that leaves nothing behind. Offline once
 * the kernel of the tiny image is in the cache. Whatever happens, also Ctrl-C, the box is dropped at the end.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '../config.ts';
import { CroftError, messageOf } from '../errors.ts';
import { run } from '../host/exec.ts';
import { explainMissing, planPackages } from '../install/installer.ts';
import { fetchKernel } from '../../storage/images/tiny/kernel.ts';
import { createDemoBox, dropLeftBoxes } from './box.ts';
import { createScreen, type Screen, wantsColour } from './screen.ts';
import { buildImage, killService, makeNetworks, makeVms, moveLive, showReach, snapshot, type Stage, startBox } from './steps.ts';

/** @returns the exit code: 0, 130 when interrupted. @throws CroftError what didn't go as shown */
export async function demo(args: string[]): Promise<number> {
  try {
    parseArgs({ args, options: {} });
  } catch (error) {
    throw new CroftError('invalid-input', `demo: ${messageOf(error)} It takes no arguments.`, { cause: error });
  }
  const config = loadConfig();
  await checkMachine();
  const screen = createScreen((text) => void process.stdout.write(text), wantsColour(process.stdout, process.env));
  screen.line('Croft in about two minutes. Nothing of yours is touched; Ctrl-C ends it and cleans up.');

  const interrupted = new AbortController();
  const stop = (): void => {
    if (!interrupted.signal.aborted) screen.line('\nInterrupted; cleaning up.');
    interrupted.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  const from = performance.now();
  try {
    await dropLeftBoxes();
    // The box itself is cut off from the world: what it would download is brought before.
    await fetchKernel(join(config.cache, 'tiny'), run, interrupted.signal);
    const box = await createDemoBox(config, interrupted.signal);
    await playAndDrop({ box, screen });
  } catch (error) {
    if (interrupted.signal.aborted) return 130;
    throw error;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, stop);
  }
  screen.line(`\nDone in ${((performance.now() - from) / 1_000).toFixed(0)} s. Your own box: npm start`);
  return 0;
}

async function playAndDrop(stage: Stage): Promise<void> {
  try {
    await play(stage);
  } catch (error) {
    await drop(stage).catch((second: unknown) => stage.screen.line(`Not cleaned up: ${messageOf(second)}`));
    throw error;
  }
  await cleanUp(stage);
}

async function play(stage: Stage): Promise<void> {
  await startBox(stage);
  await buildImage(stage);
  await makeNetworks(stage);
  const addresses = await makeVms(stage);
  await showReach(stage, addresses);
  await moveLive(stage, addresses);
  await snapshot(stage);
  await killService(stage, addresses);
}

async function cleanUp(stage: Stage): Promise<void> {
  stage.screen.chapter('Everything is removed again');
  await drop(stage);
  stage.screen.result('no process, link, namespace or file is left');
}

/** @throws CroftError `invalid-state` naming what could not be removed */
async function drop({ box }: { box: Stage['box']; screen: Screen }): Promise<void> {
  const left = await box.drop();
  if (left.length > 0) throw new CroftError('invalid-state', `Not removed: ${left.join('; ')}.`);
}

async function checkMachine(): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new CroftError('forbidden', 'The demo makes a network namespace and taps, which takes root.', {
      fix: ['sudo npx croft demo'],
    });
  }
  const missing = explainMissing(await planPackages('run'));
  if (missing.length > 0) {
    throw new CroftError('missing-component', `The demo runs the real programs, and some are missing: ${missing.join('; ')}`);
  }
}
