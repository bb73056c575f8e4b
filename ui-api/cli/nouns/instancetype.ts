/** `croft instancetype` and `croft preference`: named sizes of VMs, and defaults for what a VM leaves open. */
import type { Command } from 'commander';
import type { InstanceType, Preference } from '../../client/types.ts';
import { dryRunOption, outputOption, parseInteger } from '../options.ts';
import { instancetypeColumns, preferenceColumns } from '../output/columns.ts';
import { onAction, type Shell } from '../session.ts';
import { addDelete, addList, addShow, dryRun, type Noun } from './resource.ts';

const noun: Noun<InstanceType> = {
  noun: 'instancetype',
  title: 'Instance type',
  collection: (client) => client.instancetypes,
  columns: instancetypeColumns,
};

const preferenceNoun: Noun<Preference> = {
  noun: 'preference',
  title: 'Preference',
  collection: (client) => client.preferences,
  columns: preferenceColumns,
};

export function register(program: Command, shell: Shell): void {
  const instancetype = program.command('instancetype').description('named sizes of VMs');
  addList(instancetype, shell, noun);
  addShow(instancetype, shell, noun);
  addCreate(instancetype, shell);
  addDelete(instancetype, shell, noun);
}

export function registerPreference(program: Command, shell: Shell): void {
  const preference = program.command('preference').description('defaults for what a VM leaves open (made by croft apply)');
  addList(preference, shell, preferenceNoun);
  addShow(preference, shell, preferenceNoun);
}

type CreateOptions = { cpus: number; memory: string; cpuModel?: string };

function addCreate(parent: Command, shell: Shell): void {
  const create = parent
    .command('create <name>')
    .description('create an instance type; --project keeps it to one project')
    .requiredOption('--cpus <count>', 'virtual CPUs', parseInteger)
    .requiredOption('--memory <size>', 'memory, e.g. 4Gi')
    .option('--cpu-model <model>', 'CPU model (default: that of the box)');
  dryRunOption(outputOption(create));
  onAction<CreateOptions>(create, shell, async ({ args: [name = ''], options, session }) => {
    const { cpus, memory, cpuModel } = options;
    const body = { name, cpus, memory, cpuModel };
    if (await dryRun(session, (query) => session.client.instancetypes.create(body, query))) return;
    const answer = await session.client.instancetypes.create(body, session.project);
    session.say(`Instance type ${name} is created.`);
    if (options.output) session.printOne(answer.body, instancetypeColumns);
  });
}
