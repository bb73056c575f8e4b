/** `croft network`: VLANs, NAT, DHCP and isolated networks. */
import { InvalidArgumentError, type Command } from 'commander';
import type { Network, NetworkCreate } from '../../client/types.ts';
import { usageError } from '../exit.ts';
import { dryRunOption, outputOption, parseInteger } from '../options.ts';
import { networkColumns } from '../output/columns.ts';
import { onAction, type Shell } from '../session.ts';
import { addDelete, addList, addShow, dryRun, type Noun } from './resource.ts';

const noun: Noun<Network> = {
  noun: 'network',
  title: 'Network',
  collection: (client) => client.networks,
  columns: networkColumns,
};

export function register(program: Command, shell: Shell): void {
  const network = program.command('network').alias('net').description('networks that NICs are on');
  addList(network, shell, noun);
  addShow(network, shell, noun);
  addCreate(network, shell);
  addEdit(network, shell);
  addDelete(network, shell, noun);
}

type Fields = Omit<NetworkCreate, 'name' | 'labels' | 'reservations'>;

const fieldOptions = (command: Command): Command =>
  command
    .option('--vlan <id>', 'VLAN id, 1 to 4094', parseInteger)
    .option('--trunk <ids>', 'VLANs handed to the guest tagged, e.g. 10,20', parseVlans)
    .option('--isolated', 'never leaves this box')
    .option('--mtu <bytes>', '1280 to 9216', parseInteger)
    .option('--address <cidr>', 'the box’s own address on it, e.g. 10.20.0.1/24')
    .option('--dhcp', 'give out addresses')
    .option('--nat', 'reach the world through the box');

function parseVlans(text: string): number[] {
  if (!/^\d+(,\d+)*$/.test(text)) throw new InvalidArgumentError('Write VLAN ids separated by commas.');
  return text.split(',').map(Number);
}

const fieldsOf = ({ vlan, trunk, isolated, mtu, address, dhcp, nat }: Fields): Fields => ({
  vlan,
  trunk,
  isolated,
  mtu,
  address,
  dhcp,
  nat,
});

function addCreate(parent: Command, shell: Shell): void {
  const create = fieldOptions(parent.command('create <name>').description('create a network'));
  dryRunOption(outputOption(create));
  onAction<Fields>(create, shell, async ({ args: [name = ''], options, session }) => {
    const body = { name, ...fieldsOf(options) };
    if (await dryRun(session, (query) => session.client.networks.create(body, query))) return;
    const answer = await session.client.networks.create(body);
    session.say(`Network ${name} is created.`);
    if (options.output) session.printOne(answer.body, networkColumns);
  });
}

function addEdit(parent: Command, shell: Shell): void {
  const edit = fieldOptions(parent.command('edit <network>').description('change a network'))
    .option('--no-isolated', 'let it leave the box')
    .option('--no-dhcp', 'give out no addresses')
    .option('--no-nat', 'no way out through the box');
  dryRunOption(outputOption(edit));
  onAction<Fields>(edit, shell, async ({ args: [name = ''], options, session }) => {
    const patch = fieldsOf(options);
    if (Object.values(patch).every((value) => value === undefined)) {
      throw usageError('Nothing to change was named.', 'See: croft network edit --help');
    }
    if (await dryRun(session, (query) => session.client.networks.patch(name, patch, query))) return;
    const { body } = await session.client.networks.patch(name, patch);
    session.say(`Network ${name} is changed.`);
    if (options.output) session.printOne(body, networkColumns);
  });
}
