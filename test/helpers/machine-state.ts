/**
 * The state of the machine (or of one network namespace) that Croft may change: links, addresses, routes, rules,
 * packet filter, kernel settings, processes, Croft's own directories. Taken before and after, the two must be the
 * same: "puts the machine back as it was" is this comparison.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isCroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { listPids, readArgv } from '../../appliance/host/process-info.ts';

/** Lines per aspect, sorted: two states are compared line by line. */
export type MachineState = Record<string, string[]>;

export type MachineScope = {
  /** Only this network namespace (`ip netns`) and its processes; without it the present one and all processes. */
  namespace?: string;
  /** Processes count when their command line has one of these words. Default: the programs Croft starts. */
  programs?: readonly string[];
  /** Directories whose entries count, one level deep. */
  directories?: readonly string[];
};

const croftPrograms = ['qemu-system-', 'ovs-vswitchd', 'ovsdb-server', 'dnsmasq', 'appliance/main.ts'];
/** Kernel settings a network product touches. */
const sysctls = [
  'net/ipv4/ip_forward',
  'net/ipv4/conf/all/forwarding',
  'net/ipv4/conf/all/rp_filter',
  'net/ipv4/conf/default/rp_filter',
  'net/ipv6/conf/all/forwarding',
  'net/ipv6/conf/default/accept_ra',
  'vm/overcommit_memory',
  'vm/nr_hugepages',
];

/** Numbers that change by themselves: counters, lifetimes, interface indexes, link state seen by a timer. */
const steady = (line: string): string =>
  line
    .replace(/^\d+: /, '')
    .replace(/ (valid_lft|preferred_lft|expires) \S+/g, '')
    .replace(/packets \d+ bytes \d+/g, '')
    .replace(/\s+/g, ' ')
    .trim();

async function linesOf(argv: [string, ...string[]], namespace: string | undefined): Promise<string[]> {
  const inside: [string, ...string[]] = namespace ? ['ip', 'netns', 'exec', namespace, ...argv] : argv;
  try {
    const { stdout } = await run(inside);
    return stdout.split('\n').map(steady).filter(Boolean).sort();
  } catch (error) {
    // Not installed before Croft brought it: nothing of it can be configured.
    if (isCroftError(error, 'missing-component')) return [];
    throw error;
  }
}

async function kernelSettings(namespace: string | undefined): Promise<string[]> {
  // In a namespace the files are read by a program that runs in it.
  if (namespace) return linesOf(['sh', '-c', `cd /proc/sys; grep -H . ${sysctls.join(' ')} 2>/dev/null || true`], namespace);
  const values = await Promise.all(sysctls.map((name) => readFile(join('/proc/sys', name), 'utf8').catch(() => 'absent')));
  return sysctls.map((name, index) => `${name}:${(values[index] ?? '').trim()}`);
}

/** Of one namespace, or of the whole machine. */
async function pidsIn(namespace: string | undefined): Promise<number[]> {
  if (!namespace) return listPids();
  return (await linesOf(['ip', 'netns', 'pids', namespace], undefined)).map(Number);
}

async function processes(programs: readonly string[], namespace: string | undefined): Promise<string[]> {
  const argvs = await Promise.all((await pidsIn(namespace)).map(async (pid) => ({ pid, argv: (await readArgv(pid)).join(' ') })));
  return argvs
    .filter(({ argv }) => programs.some((program) => argv.includes(program)))
    .map(({ pid, argv }) => `${pid} ${argv.slice(0, 200)}`)
    .sort();
}

async function entries(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names.map((name) => join(directory, name)).sort((a, b) => a.localeCompare(b));
}

/** Looks at the machine now. */
export async function machineState(scope: MachineScope = {}): Promise<MachineState> {
  const { namespace } = scope;
  const [links, addresses, routes, routes6, rules, rules6, firewall, settings, running, files] = await Promise.all([
    linesOf(['ip', '-o', '-d', 'link'], namespace),
    linesOf(['ip', '-o', 'address'], namespace),
    linesOf(['ip', 'route', 'show', 'table', 'all'], namespace),
    linesOf(['ip', '-6', 'route', 'show', 'table', 'all'], namespace),
    linesOf(['ip', 'rule'], namespace),
    linesOf(['ip', '-6', 'rule'], namespace),
    linesOf(['nft', '-s', 'list', 'ruleset'], namespace),
    kernelSettings(namespace),
    processes(scope.programs ?? croftPrograms, namespace),
    Promise.all((scope.directories ?? []).map(entries)),
  ]);
  return { links, addresses, routes, routes6, rules, rules6, firewall, settings, processes: running, files: files.flat() };
}

/** What differs, as `aspect: - gone` and `aspect: + new` lines; empty when nothing does. */
export function stateDifferences(before: MachineState, after: MachineState): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((aspect) => {
    const [old, present] = [before[aspect] ?? [], after[aspect] ?? []];
    return [
      ...old.filter((line) => !present.includes(line)).map((line) => `${aspect}: - ${line}`),
      ...present.filter((line) => !old.includes(line)).map((line) => `${aspect}: + ${line}`),
    ];
  });
}
