/** `croft instancetype`: named sizes of VMs. */
import type { Command } from 'commander';
import type { InstanceType } from '../../client/types.ts';
import { instancetypeColumns } from '../output/columns.ts';
import type { Shell } from '../session.ts';
import { addList, type Noun } from './resource.ts';

const noun: Noun<InstanceType> = {
  noun: 'instancetype',
  title: 'Instance type',
  collection: (client) => client.instancetypes,
  columns: instancetypeColumns,
};

export function register(program: Command, shell: Shell): void {
  const instancetype = program.command('instancetype').description('named sizes of VMs');
  addList(instancetype, shell, noun);
}
