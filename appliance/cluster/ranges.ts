/** The address ranges of pods and Services: k3s' own where nothing is in their way, else the next that are free. Pure. */
import { BlockList, isIPv4 } from 'node:net';
import { CroftError } from '../errors.ts';

export type ClusterRanges = { pods: string; services: string; dns: string };

/** Candidates, k3s' defaults first (k3s docs, `--cluster-cidr`, `--service-cidr`): private /16s. */
const podCandidates = [42, 52, 62, 72, 82, 92].map((second) => `10.${second}.0.0/16`);
const serviceCandidates = [43, 53, 63, 73, 83, 93].map((second) => `10.${second}.0.0/16`);

const split = (cidr: string): [address: string, prefix: number] => {
  const [address = '', prefix = '32'] = cidr.split('/');
  return [address, Number(prefix)];
};

const holds = (cidr: string, address: string): boolean => {
  const list = new BlockList();
  list.addSubnet(...split(cidr));
  return list.check(address);
};

/** Two ranges overlap when one holds the other's address. */
const overlap = (a: string, b: string): boolean => holds(a, split(b)[0]) || holds(b, split(a)[0]);

/**
 * @param occupied IPv4 addresses with prefix that the box is on or its networks have
 * @throws CroftError `invalid-state` when every candidate overlaps with one
 */
export function chooseRanges(occupied: readonly string[]): ClusterRanges {
  // A default route or a host's own address says nothing about a range.
  const taken = occupied.filter((each) => isIPv4(split(each)[0]) && split(each)[1] >= 8 && split(each)[1] <= 30);
  const free = (candidates: readonly string[], what: string): string => {
    const found = candidates.find((candidate) => !taken.some((each) => overlap(each, candidate)));
    if (found !== undefined) return found;
    throw new CroftError(
      'invalid-state',
      `No range is free for ${what}: ${candidates.join(', ')} overlap with ${taken.join(', ')}.`,
    );
  };
  const services = free(serviceCandidates, 'Services');
  return { pods: free(podCandidates, 'pods'), services, dns: services.replace('.0.0/16', '.0.10') };
}
