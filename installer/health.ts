/**
 * The health gate of a freshly started release, and what follows from it. systemd runs the three commands:
 * croft-health.service before boot-complete.target, croft-commit.service after it, croft-rollback.service when the
 * gate fails. GRUB's counters do the rest where not even that much runs (kernel panic, hang, unreadable slot).
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CroftError, messageOf } from '../appliance/errors.ts';
import { run } from '../appliance/host/exec.ts';
import { thisNodeName } from '../appliance/host/node-name.ts';
import { readEnvironment, writeEnvironment } from './environment-block.ts';
import { argumentOf } from './kernel-arguments.ts';
import { commit, fromEnvironment, isSlot, rollBack, type Slot, toEnvironment } from './slots.ts';

export type Running = { slot: Slot; environment: string };

/** The slot this system runs from. @throws CroftError `invalid-state` on a live system */
export function runningSlot(commandLine: string): Running {
  const slot = argumentOf(commandLine, 'croft.slot');
  const environment = argumentOf(commandLine, 'croft.env');
  if (!isSlot(slot) || !environment) throw new CroftError('invalid-state', 'This system does not run from an installed slot.');
  return { slot, environment: `/dev/disk/by-partuuid/${environment}` };
}

const statePath = '/var/lib/croft';

/** @throws CroftError `unavailable` naming the first check that failed */
export async function checkHealth(): Promise<void> {
  await checkState();
  const listed = await readFile(join(import.meta.dirname, '../health-units'), 'utf8');
  const units = listed.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const deadline = Date.now() + (units.includes('croft-api.service') ? patience() : 0);
  if (units.includes('croft-api.service')) {
    await checkApi(deadline);
    await checkNode(deadline);
  }
  for (const unit of units) await checkUnit(unit, deadline);
}

/** The state partition is mounted and takes writes. */
async function checkState(): Promise<void> {
  await run(['mountpoint', '--quiet', statePath]).catch((cause: unknown) => {
    throw new CroftError('unavailable', `health: ${statePath} is not mounted.`, { cause });
  });
  const probe = join(statePath, '.health');
  try {
    await writeFile(probe, 'x', { flush: true });
    await rm(probe);
  } catch (cause) {
    throw new CroftError('unavailable', `health: ${statePath} cannot be written: ${messageOf(cause)}`, { cause });
  }
}

/** Milliseconds: Kubernetes and API need minutes for their first start on a box of the smallest kind. */
const leastPatience = 10 * 60_000;
/** A slow machine (an emulated one) gets this many times what it took to come as far as this check. */
const slownessFactor = 8;
const patience = (): number => Math.max(leastPatience, slownessFactor * uptime() * 1000);
const pause = 2_000;

/** Repeats a check until it passes. @throws CroftError `unavailable` with what it said last */
async function eventually(check: () => Promise<string | undefined>, deadline: number): Promise<void> {
  for (;;) {
    const wrong = await check().catch(messageOf);
    if (wrong === undefined) return;
    if (Date.now() > deadline) throw new CroftError('unavailable', `health: ${wrong}`);
    await delay(pause);
  }
}

/** A unit named in health-units (a release lists there what it cannot do without) is active. */
const checkUnit = (unit: string, deadline: number): Promise<void> =>
  eventually(async () => {
    const { stdout } = await run(['systemctl', 'show', '--property=ActiveState', '--value', unit]);
    return stdout.trim() === 'active' ? undefined : `${unit} is ${stdout.trim()}, not active.`;
  }, deadline);

const apiPort = 8440;

/** The API says it is ready. Its certificate is its own: the answer counts here, not who gives it. */
const checkApi = (deadline: number): Promise<void> =>
  eventually(async () => {
    const status = await askReady('127.0.0.1', apiPort).catch(messageOf);
    return status === 200 ? undefined : `the API is not ready: ${status}.`;
  }, deadline);

/** This box's node takes pods. */
const checkNode = (deadline: number): Promise<void> =>
  eventually(async () => {
    const condition = '{.status.conditions[?(@.type=="Ready")].status}';
    const { stdout } = await run(['k3s', 'kubectl', 'get', 'node', thisNodeName(), '-o', `jsonpath=${condition}`], {
      env: { KUBECONFIG: '/etc/rancher/k3s/k3s.yaml' },
      timeout: 60_000,
    });
    return stdout.trim() === 'True' ? undefined : 'the Kubernetes node is not Ready.';
  }, deadline);

/** Resolves when a server of this machine says it is ready: Croft's API, or Kubernetes'. Who waits ends the wait. */
export async function awaitReady(host: string, port: number): Promise<void> {
  while ((await askReady(host, port).catch(() => undefined)) !== 200) await delay(pause); // Not up yet.
}

const askReady = (host: string, port: number): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const options = { host, port, path: '/readyz', rejectUnauthorized: false, timeout: 10_000 };
    const request = get(options, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('timeout', () => request.destroy(new Error('no answer within 10 s')));
    request.on('error', reject);
  });

/** Makes the running release the one that boots from now on. */
export async function commitRunning(commandLine: string): Promise<Slot> {
  const { slot, environment } = runningSlot(commandLine);
  await writeEnvironment(environment, toEnvironment(commit(fromEnvironment(await readEnvironment(environment)), slot)));
  return slot;
}

/** Leaves a release that is not healthy: restarts into the committed one, or stays where it is the committed one. */
export async function leaveRunning(commandLine: string): Promise<'restarting' | 'staying'> {
  const { slot, environment } = runningSlot(commandLine);
  const { state, restart } = rollBack(fromEnvironment(await readEnvironment(environment)), slot);
  if (!restart) return 'staying';
  await writeEnvironment(environment, toEnvironment(state));
  await run(['systemctl', '--no-block', 'reboot']);
  return 'restarting';
}
