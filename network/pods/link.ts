/**
 * Brings a pod link to its wish (plan.ts) on this box. The pod's namespace is entered by a process that lives in it,
 * with nsenter(1) for each command: nothing of ours stays there.
 */
import { readlink } from 'node:fs/promises';
import { CroftError } from '../../appliance/errors.ts';
import { run, type RunOptions, type RunResult } from '../../appliance/host/exec.ts';
import { ipBatch, ipBatchText } from '../links.ts';
import { planPodLink, type LinkEnd, type PodLinkShape } from './plan.ts';
import { podTable } from './rules.ts';

/** Only names that Croft gives to pod links (resources/identity.ts). */
export const isPodLink = (name: string): boolean => /^cp[0-9a-f]{10}n\d+$/.test(name);

type Argv = readonly [string, ...string[]];
type InPod = (argv: Argv, options?: RunOptions) => Promise<RunResult>;

/** The part of `ip -j address show` that is read; `link_index` is there while the other end is in another namespace. */
type IpEnd = {
  ifindex: number;
  link_index?: number;
  flags?: string[];
  mtu?: number;
  address?: string;
  addr_info?: { family: string; local: string; prefixlen: number }[];
};

export function parseEnd(json: string): LinkEnd | undefined {
  const [end] = (json.trim() === '' ? [] : JSON.parse(json)) as Partial<IpEnd>[];
  if (end?.ifindex === undefined) return undefined;
  return {
    index: end.ifindex,
    ...(end.link_index === undefined ? {} : { peer: end.link_index }),
    up: end.flags?.includes('UP') ?? false,
    mtu: end.mtu ?? 0,
    mac: end.address ?? '',
    addresses: (end.addr_info ?? []).flatMap((each) => (each.family === 'inet' ? [`${each.local}/${each.prefixlen}`] : [])),
  };
}

const readEnd = async (name: string, inside: InPod): Promise<LinkEnd | undefined> =>
  // 1: there is no such device.
  parseEnd((await inside(['ip', '-j', 'address', 'show', 'dev', name], { okCodes: [0, 1] })).stdout);

/** Names of the chains of our table in the pod. */
async function readMarks(inside: InPod): Promise<string[]> {
  const { stdout } = await inside(['nft', '-j', 'list', 'chains', 'ip'], { okCodes: [0, 1] });
  if (stdout.trim() === '') return [];
  const { nftables = [] } = JSON.parse(stdout) as { nftables?: { chain?: { table: string; name: string } }[] };
  return nftables.flatMap(({ chain }) => (chain?.table === podTable ? [chain.name] : []));
}

const forwardingFile = '/proc/sys/net/ipv4/ip_forward';

/** argv prefix into the pod. @throws CroftError `unavailable` when the pod has no namespace of its own (any more) */
async function enter(pid: number): Promise<InPod> {
  const path = `/proc/${pid}/ns/net`;
  const namespace = await readlink(path).catch(() => undefined); // The process is gone: said below.
  if (namespace === undefined || namespace === (await readlink('/proc/self/ns/net'))) {
    throw new CroftError('unavailable', `Process ${pid} holds no network namespace of a pod.`);
  }
  return (argv, options) => run(['nsenter', `--net=${path}`, ...argv], options);
}

/**
 * Makes or repairs the link. `beforeRemake` runs before an existing pair is replaced.
 * @throws CroftError `unavailable` when the pod is gone, `command-failed`, `missing-component`
 */
export async function ensurePodLink(shape: PodLinkShape, pid: number, beforeRemake: () => Promise<void>): Promise<void> {
  const inPod = await enter(pid);
  const [near, far, marks, forwarding] = await Promise.all([
    readEnd(shape.name, run),
    readEnd(shape.far, inPod),
    readMarks(inPod),
    inPod(['cat', forwardingFile]),
  ]);
  const plan = planPodLink({ near, far, marks, forwarding: forwarding.stdout.trim() === '1' }, shape, pid);
  if (plan.remake) await beforeRemake();
  // Rules first: no packet is forwarded before they stand.
  if (plan.rules !== undefined) await inPod(['nft', '-f', '-'], { input: plan.rules });
  for (const batch of plan.batches) {
    if (batch.in === 'host') await ipBatch(batch.commands);
    else await inPod(['ip', '-batch', '-'], { input: ipBatchText(batch.commands) });
  }
  if (plan.checksumsOff) await inPod(['ethtool', '-K', shape.far, 'tx', 'off']);
  if (plan.forward) await inPod(['tee', forwardingFile], { input: '1' });
}

/** The box's ends that there are. */
export async function listPodLinks(): Promise<string[]> {
  const { stdout } = await run(['ip', '-j', 'link', 'show', 'type', 'veth']);
  const links = (stdout.trim() === '' ? [] : JSON.parse(stdout)) as { ifname?: string }[];
  return links.flatMap(({ ifname }) => (ifname !== undefined && isPodLink(ifname) ? [ifname] : []));
}

/** Removes links of Croft's by name, both ends. Idempotent. */
export async function deletePodLinks(names: readonly string[]): Promise<void> {
  const present = new Set(await listPodLinks());
  for (const name of names.filter((each) => present.has(each))) {
    // 1: its pod went just now, and the link with it.
    await run(['ip', 'link', 'delete', 'dev', name], { okCodes: [0, 1] });
  }
}
