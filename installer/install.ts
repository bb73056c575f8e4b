/** An unattended installation inside the live system: answers, preflight, plan, steps. */
import { randomBytes, randomUUID } from 'node:crypto';
import { access, constants } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { CroftError } from '../appliance/errors.ts';
import { parseAnswers } from './answers.ts';
import { applySteps } from './apply.ts';
import { listDisks } from './disks.ts';
import { findAnswers } from './find-answers.ts';
import { partitionNumber } from './grub-config.ts';
import type { PartitionIds } from './layout.ts';
import { planInstallation } from './plan.ts';
import { checkMachine } from './preflight.ts';
import { readRelease } from './release.ts';

const medium = '/run/live/medium';
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
  const { text, source } = await findAnswers(commandLine, medium);
  const answers = parseAnswers(text, source);
  const release = await readRelease(medium);
  print(`Croft ${release.version} (${release.variant}), ${source}`);
  const findings = checkMachine({ memory: totalmem(), virtualization: await isReadable('/dev/kvm') }, release);
  for (const { text: finding } of findings) print(finding);
  const blocking = findings.filter(({ blocks }) => blocks);
  if (blocking.length > 0) throw new CroftError('invalid-state', blocking.map((finding) => finding.text).join(' '));
  const steps = planInstallation(answers, {
    disks: await listDisks(),
    release,
    medium,
    loaders,
    scratch: '/run/croft/install',
    ids: freshIds(),
    machineId: randomBytes(16).toString('hex'),
  });
  await applySteps(steps, { print });
}
