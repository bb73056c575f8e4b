/** An installation inside the live system: answers (from a file, or asked for), preflight, plan, steps. */
import { randomBytes, randomUUID } from 'node:crypto';
import { access, constants, mkdir, open, rm } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { CroftError } from '../appliance/errors.ts';
import { type Answers, parseAnswers } from './answers.ts';
import { type ApplyOptions, applySteps } from './apply.ts';
import { type Disk, listDisks } from './disks.ts';
import { findAnswers } from './find-answers.ts';
import { partitionNumber } from './grub-config.ts';
import { converse } from './interactive/converse.ts';
import { decide, screens } from './interactive/screens.ts';
import { openTerminal } from './interactive/terminal.ts';
import { argumentOf } from './kernel-arguments.ts';
import type { PartitionIds } from './layout.ts';
import { planInstallation } from './plan.ts';
import { checkMachine } from './preflight.ts';
import { readRelease, type Release } from './release.ts';
import { openRemoteMedium, reportInstalled } from './remote-medium.ts';

const liveMedium = '/run/live/medium';
const loaders = '/usr/lib/croft/boot';

const freshIds = (): PartitionIds =>
  Object.fromEntries(Object.keys(partitionNumber).map((name) => [name, randomUUID()])) as PartitionIds;

const isReadable = (path: string): Promise<boolean> =>
  access(path, constants.R_OK).then(
    () => true,
    () => false,
  );

/**
 * Installs this machine from the medium that runs it.
 * @throws CroftError before a disk is touched: `not-found`, `invalid-input` (answers), `invalid-state` (machine, disks);
 * afterwards: that of the step that failed
 */
export async function install(commandLine: string, print: (line: string) => void): Promise<void> {
  const from = argumentOf(commandLine, 'croft.from');
  const { text, source } = await findAnswers(commandLine, liveMedium);
  const answers = parseAnswers(text, source);
  const medium = from ? await openRemoteMedium(from, liveMedium, '/run/croft/medium') : liveMedium;
  const release = await readRelease(medium);
  print(`Croft ${release.version} (${release.variant}), ${source}`);
  const findings = checkMachine({ memory: totalmem(), virtualization: await isReadable('/dev/kvm') }, release);
  for (const { text: finding } of findings) print(finding);
  const blocking = findings.filter(({ blocks }) => blocks);
  if (blocking.length > 0) throw new CroftError('invalid-state', blocking.map((finding) => finding.text).join(' '));
  const report = argumentOf(commandLine, 'croft.report');
  const beforeEnd = async (): Promise<void> => (report ? reportInstalled(report, print) : undefined);
  await carryOut(answers, await listDisks(), { release, medium, print, beforeEnd });
}

/**
 * Installs as answered at one of the machine's terminals.
 * @throws CroftError as install, and Error when the terminal is gone
 */
export async function installAsking(print: (line: string) => void): Promise<void> {
  const release = await readRelease(liveMedium);
  const machine = { memory: totalmem(), virtualization: await isReadable('/dev/kvm') };
  const terminal = openTerminal(process.stdin, process.stdout);
  try {
    const facts = { release, machine, disks: await listDisks() };
    const { answers, disks } = decide(await converse(screens, facts, terminal));
    const say = (line: string): void => terminal.write(`croft-install: ${line}\n`);
    await carryOut(answers, disks, { release, medium: liveMedium, print: say });
  } catch (error) {
    print('The installation ended. Start the machine again to repeat it.');
    throw error;
  } finally {
    terminal.close();
  }
}

type Source = { release: Release; medium: string };

async function carryOut(
  answers: Answers,
  disks: readonly Disk[],
  { release, medium, ...options }: Source & ApplyOptions,
): Promise<void> {
  const steps = planInstallation(answers, {
    disks,
    release,
    medium,
    loaders,
    scratch: '/run/croft/install',
    ids: freshIds(),
    machineId: randomBytes(16).toString('hex'),
  });
  await mkdir('/run/croft', { recursive: true });
  const mark = await open('/run/croft/installing', 'wx').catch((cause: unknown) => {
    throw new CroftError('busy', 'An installation is running at another terminal of this machine.', { cause });
  });
  try {
    await applySteps(steps, options);
  } catch (error) {
    // A failed one may be repeated; after a whole one the machine restarts.
    await rm('/run/croft/installing');
    throw error;
  } finally {
    await mark.close();
  }
}
