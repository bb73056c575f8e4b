/** `croft uplink`: NICs and bonds that VLANs leave the box by. */
import { InvalidArgumentError, type Command } from 'commander';
import type { Uplink, UplinkCreate } from '../../client/types.ts';
import { usageError } from '../exit.ts';
import { dryRunOption, outputOption, parseInteger } from '../options.ts';
import { uplinkColumns } from '../output/columns.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { addDelete, addList, addShow, dryRun, type Noun } from './resource.ts';

const noun: Noun<Uplink> = {
  noun: 'uplink',
  title: 'Uplink',
  collection: (client) => client.uplinks,
  columns: uplinkColumns,
};

export function register(program: Command, shell: Shell): void {
  const uplink = program.command('uplink').description('NICs and bonds that VLANs leave the box by');
  addList(uplink, shell, noun);
  addShow(uplink, shell, noun);
  addCreate(uplink, shell);
  addEdit(uplink, shell);
  addConfirm(uplink, shell);
  addDelete(uplink, shell, noun);
}

type Fields = Partial<Omit<UplinkCreate, 'name' | 'labels'>>;
type Options = { nic?: string[]; confirmWithin?: number } & Omit<Fields, 'interfaces'>;

/** Commander gives what was gathered so far, undefined at first. */
const gather = (device: string, all: string[] | undefined): string[] => [...(all ?? []), device];

const fieldOptions = (command: Command): Command =>
  command
    .option('--nic <device>', 'network device of the machine; again for a bond', gather)
    .option('--mode <mode>', 'of a bond: active-backup or lacp')
    .option('--access <id>', 'carry this VLAN only, untagged on the wire', parseInteger)
    .option('--vlans <ids>', 'VLANs carried tagged, e.g. 10,20 (default: all)', parseVlans)
    .option('--native <id>', 'this VLAN goes untagged on the wire', parseInteger)
    .option('--mtu <bytes>', '1280 to 9216', parseInteger)
    .option('--move-addresses', 'take NICs with addresses of the machine: these go on the switch with them')
    .option('--confirm-within <seconds>', 'undo the change unless it is confirmed in this time', parseInteger);

function parseVlans(text: string): number[] {
  if (!/^\d+(,\d+)*$/.test(text)) throw new InvalidArgumentError('Write VLAN ids separated by commas.');
  return text.split(',').map(Number);
}

const fieldsOf = ({ nic, mode, access, vlans, native, mtu, moveAddresses }: Options): Fields => ({
  interfaces: nic,
  mode,
  access,
  vlans,
  native,
  mtu,
  moveAddresses,
});

function sayDeadline(session: Session, { name, confirmBefore }: Uplink): void {
  if (confirmBefore === undefined) return;
  const left = Math.max(0, Math.round((Date.parse(confirmBefore) - Date.now()) / 1000));
  session.say(`It is undone in ${left} s unless you confirm it: croft uplink confirm ${name}`);
}

function addCreate(parent: Command, shell: Shell): void {
  const create = fieldOptions(parent.command('create <name>').description('put NICs of the machine on the box’s switch'));
  dryRunOption(outputOption(create));
  onAction<Options>(create, shell, async ({ args: [name = ''], options, session }) => {
    const { interfaces, ...fields } = fieldsOf(options);
    if (!interfaces) throw usageError('Which NIC? Name it with --nic.', 'See: croft uplink create --help');
    const { confirmWithin } = options;
    const body = { name, interfaces, ...fields };
    if (await dryRun(session, (query) => session.client.uplinks.create(body, { ...query, confirmWithin }))) return;
    const answer = await session.client.uplinks.create(body, { confirmWithin });
    session.say(`Uplink ${name} is created.`);
    sayDeadline(session, answer.body);
    if (options.output) session.printOne(answer.body, uplinkColumns);
  });
}

function addEdit(parent: Command, shell: Shell): void {
  const edit = fieldOptions(parent.command('edit <uplink>').description('change an uplink'));
  dryRunOption(outputOption(edit));
  onAction<Options>(edit, shell, async ({ args: [name = ''], options, session }) => {
    const patch = fieldsOf(options);
    if (Object.values(patch).every((value) => value === undefined)) {
      throw usageError('Nothing to change was named.', 'See: croft uplink edit --help');
    }
    const { confirmWithin } = options;
    if (await dryRun(session, (query) => session.client.uplinks.patch(name, patch, { ...query, confirmWithin }))) return;
    const { body } = await session.client.uplinks.patch(name, patch, { confirmWithin });
    session.say(`Uplink ${name} is changed.`);
    sayDeadline(session, body);
    if (options.output) session.printOne(body, uplinkColumns);
  });
}

function addConfirm(parent: Command, shell: Shell): void {
  const confirm = parent.command('confirm <uplink>').description('keep a change that would undo itself');
  onAction(confirm, shell, async ({ args: [name = ''], session }) => {
    await session.client.uplinks.act(name, 'confirm');
    session.say(`Uplink ${name}: the change stays.`);
  });
}
