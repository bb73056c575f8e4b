/** `croft vm ssh`: ssh's own client, with the address and the account of a VM. */
import { mkdirSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { Command } from 'commander';
import { runInteractive } from '../../../appliance/host/exec.ts';
import type { Image, Vm } from '../../client/types.ts';
import { configDirectory } from '../context.ts';
import { CliError, exitCodes, usageError } from '../exit.ts';
import { collect, parseDuration } from '../options.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { orMissing, parseVmGoal, waitForVm } from '../wait.ts';

type SshOptions = { user?: string; identity?: string; option?: string[]; address?: string; timeout?: number };

export function addSsh(vm: Command, shell: Shell): void {
  const command = vm
    .command('ssh <vm> [command...]')
    .description('open an SSH session, or run a command: croft vm ssh web -- uptime')
    .option('-l, --user <name>', 'account in the guest (default: the one its image gives the keys to)')
    .option('-i, --identity <file>', 'private key')
    .option('--option <ssh-option>', 'passed to ssh as -o; may be repeated', collect)
    .option('--address <address>', 'which of its addresses (default: the first IPv4 one)')
    .option('--timeout <duration>', 'how long to wait for an address (default 5m)', parseDuration);
  onAction<SshOptions>(command, shell, async ({ args: [name = '', ...rest], options, session }) => {
    const found = await waitForVm(session, name, parseVmGoal('ip'), { failEarly: true });
    session.progress.clear();
    const address = addressOf(found, options.address);
    const user = options.user ?? (await accountOf(session, found));
    const proxy = session.connection.socketPath ? undefined : proxyCommand(session, name);
    const argv = sshArguments(found, address, { ...options, user, proxy, knownHosts: knownHosts(session) }, rest);
    const code = await runInteractive(['ssh', ...argv]);
    // ssh's own failures are 255; all else is the remote command's own answer.
    if (code === 255) {
      throw new CliError(exitCodes.unreachable, `ssh to ${name} (${address}) failed.`, [
        `Is ${address} reachable from here? The box reaches networks that it has an address on: croft network list`,
        `Without a network: croft vm console ${name}`,
      ]);
    }
    shell.exitCode = code;
  });
}

export function addPortForward(vm: Command, shell: Shell): void {
  const command = vm
    .command('port-forward <vm> <port>')
    .description('join standard input and output with a TCP port of a VM, through the API');
  onAction(command, shell, async ({ args: [name = '', port = ''], session }) => {
    if (!/^\d{1,5}$/.test(port)) throw usageError(`${JSON.stringify(port)} is no port; give 1 to 65535.`);
    const { forwardStdio } = await import('../forward.ts');
    await forwardStdio(session, name, Number(port));
  });
}

/** @throws CliError usage for an address it does not have */
function addressOf({ name, addresses }: Vm, wished: string | undefined): string {
  if (wished !== undefined && !addresses.includes(wished)) {
    throw usageError(`--address: VM ${name} has no ${wished}; it has ${addresses.join(', ')}.`);
  }
  const usable = addresses.filter((address) => !/^fe80:/i.test(address));
  return wished ?? usable.find((address) => !isIPv6(address)) ?? usable[0] ?? (addresses[0] as string);
}

/** The account that cloud-init gives the keys to, as far as its image tells. */
async function accountOf(session: Session, { image }: Vm): Promise<string | undefined> {
  const made = image === undefined ? undefined : await orMissing(session.client.images.get(image, undefined, session.io.signal));
  const source = (made as (Image & { source: { catalogue?: string; build?: string } }) | undefined)?.source;
  if (source?.build === 'debian') return 'debian';
  if (source?.catalogue === undefined) return undefined;
  const entries = await session.client.imageCatalogue.list({}, session.io.signal);
  return entries.find(({ name, aliases }) => name === source.catalogue || aliases.includes(source.catalogue ?? ''))?.user;
}

/** From another machine the connection goes through the API: only the box is surely on the VM's network. */
function proxyCommand({ options }: Session, name: string): string {
  const { host, context, ca, project } = options;
  const given = Object.entries({ host, context, ca, project }).flatMap(([key, value]) =>
    value === undefined ? [] : [`--${key}`, value],
  );
  const words = [process.execPath, process.argv[1] ?? 'croft', ...given, 'vm', 'port-forward', name, '22'];
  return words.map((word) => `'${word.replaceAll('%', '%%').replaceAll("'", "'\\''")}'`).join(' ');
}

function knownHosts(session: Session): string {
  const directory = configDirectory(session.io.env);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return join(directory, 'known_hosts');
}

/**
 * Pure. Host keys are kept by the VM's id: addresses are given to other VMs later, names too. A first key is taken
 * on trust, a changed one is refused.
 */
export function sshArguments(
  { id, name }: Vm,
  address: string,
  { user, identity, option = [], proxy, knownHosts: file }: SshOptions & { knownHosts: string; proxy?: string | undefined },
  command: readonly string[],
): string[] {
  const options = [
    `HostKeyAlias=croft-${id ?? name}`,
    `UserKnownHostsFile=${file}`,
    'StrictHostKeyChecking=accept-new',
    ...(proxy ? [`ProxyCommand=${proxy}`] : []),
    ...option,
  ];
  return [
    ...options.flatMap((each) => ['-o', each]),
    ...(identity === undefined ? [] : ['-i', identity]),
    ...(user === undefined ? [] : ['-l', user]),
    '--',
    address,
    ...command,
  ];
}
