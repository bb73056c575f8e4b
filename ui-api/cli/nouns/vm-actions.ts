/** `croft vm start`, `stop`, `restart` …: actions on one, several or all VMs, each waiting for its effect. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Vm } from '../../client/types.ts';
import { usageError } from '../exit.ts';
import { dryRunOption, parseDuration, waitOptions } from '../options.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { parseVmGoal, taskIdOf, waitForVm } from '../wait.ts';
import { dryRun } from './resource.ts';

type Action = {
  verb: string;
  summary: string;
  /** State to wait for; none: the answer says it is done. */
  goal?: string;
  /** `--all` takes VMs in these states. */
  from: (vm: Vm) => boolean;
};

const runs = (vm: Vm) => !['stopped', 'terminating'].includes(vm.state);

const actions: Action[] = [
  { verb: 'start', summary: 'start VMs', goal: 'running', from: (vm) => vm.state === 'stopped' },
  { verb: 'stop', summary: 'shut VMs down (ACPI, then by force after their grace period)', goal: 'stopped', from: runs },
  { verb: 'restart', summary: 'stop and start VMs', goal: 'running', from: (vm) => vm.state === 'running' },
  { verb: 'pause', summary: 'halt the CPUs of VMs', goal: 'paused', from: (vm) => vm.state === 'running' },
  { verb: 'unpause', summary: 'let paused VMs run on', goal: 'running', from: (vm) => vm.state === 'paused' },
  { verb: 'reset', summary: 'press the reset button of VMs', from: (vm) => vm.state === 'running' },
  { verb: 'soft-reboot', summary: 'ask guests to reboot themselves', from: (vm) => vm.state === 'running' },
];

type ActionOptions = { all?: boolean; force?: boolean; grace?: number };

export function addActions(parent: Command, shell: Shell): void {
  for (const action of actions) {
    const command = parent
      .command(`${action.verb} [vm...]`)
      .description(action.summary)
      .option('--all', 'every VM this applies to');
    if (action.verb === 'stop') {
      command.option('--force', 'pull the plug').option('--grace <duration>', 'time to shut down by itself', parseDuration);
    }
    waitOptions(dryRunOption(command));
    onAction<ActionOptions>(command, shell, async ({ args, options, session }) => {
      const names = await chosen(session, action, args, options.all);
      const waits: (() => Promise<unknown>)[] = [];
      // All requests go out before the first wait, so that many VMs stop side by side.
      for (const name of names) waits.push(await perform(session, action, name, options));
      for (const wait of waits) await wait();
    });
  }
}

/** Asks for the action; the answer waits for its effect. */
async function perform(session: Session, action: Action, name: string, options: ActionOptions): Promise<() => Promise<unknown>> {
  const { client, project } = session;
  const grace = options.grace === undefined ? undefined : Math.round(options.grace / 1000);
  const body = action.verb === 'stop' ? { force: options.force, gracePeriodSeconds: grace } : undefined;
  if (await dryRun(session, (query) => client.vms.act(name, action.verb, body, query))) return async () => {};
  const answer = await client.vms.act(name, action.verb, body, project);
  const { goal, verb } = action;
  if (session.options.wait === false || goal === undefined) {
    const task = taskIdOf(answer);
    if (task && session.options.wait === false) session.print(`${task}\n`);
    return async () => session.say(`VM ${name}: ${verb} ${goal === undefined ? 'done' : 'accepted'}.`);
  }
  return async () => {
    if (verb === 'restart') await untilItLeft(session, name);
    await waitForVm(session, name, parseVmGoal(goal), { failEarly: verb === 'start' });
  };
}

/** ms in which a restart shows in the VM's state; one that is quicker than our looks is over by then. */
const restartShows = 3000;

/** A restart begins in `running` as it ends: waits for it to leave that state first. */
async function untilItLeft(session: Session, name: string): Promise<void> {
  const until = Date.now() + restartShows;
  while (Date.now() < until && !session.io.signal.aborted) {
    const vm = await session.client.vms.get(name, session.project, session.io.signal);
    if (vm.state !== 'running') return;
    await sleep(100, undefined, { signal: session.io.signal });
  }
}

async function chosen(session: Session, action: Action, names: string[], all: boolean | undefined): Promise<string[]> {
  if (all && names.length > 0) throw usageError('Name VMs or give --all, not both.');
  if (!all && names.length === 0) throw usageError('No VM was named.', `Write: croft vm ${action.verb} NAME, or --all.`);
  if (!all) return names;
  const vms = (await session.client.vms.list(session.project)).filter(action.from);
  if (vms.length === 0) session.say(`No VM to ${action.verb}.`);
  return vms.map(({ name }) => name);
}
