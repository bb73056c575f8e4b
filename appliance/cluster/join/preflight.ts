/** What keeps a box from joining, each with its fix; and which part it is to have. Pure. */
import type { Node } from '../../resources/croft-kinds.ts';

export type JoinRequest = {
  /** Made at the box's first try and kept: says that a repeated join is the same box's. */
  boxId: string;
  name: string;
  /** Cluster address. */
  address: string;
  version: string;
  witness: boolean;
  /** ms since the epoch, when it was sent. */
  time: number;
};

export type Problem = { problem: string; fix: string };

/** ms. Kubernetes' and Ceph's certificates and leases bear a little; more is a clock that nobody sets. */
const greatestSkew = 1_000;
const nameRule = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

type Member = Pick<Node, 'metadata' | 'status'>;

/** @param repeated the same box joined before under this name: it is itself no duplicate */
export function preflight(
  request: JoinRequest,
  members: readonly Member[],
  now: number,
  version: string,
  repeated: boolean,
): Problem[] {
  const problems: Problem[] = [];
  const skew = request.time - now;
  if (Math.abs(skew) > greatestSkew) {
    const seconds = (Math.abs(skew) / 1000).toFixed(1);
    problems.push({
      problem: `The clock of ${request.name} is ${seconds} s ${skew > 0 ? 'ahead' : 'behind'}; 1 s is allowed.`,
      fix: 'Let both boxes set their clocks by the same server (chronyc makestep), then join again.',
    });
  }
  if (request.version !== version) {
    problems.push({
      problem: `${request.name} runs Croft ${request.version}, the cluster ${version}.`,
      fix: `Install Croft ${version} on ${request.name}.`,
    });
  }
  if (!nameRule.test(request.name)) {
    problems.push({
      problem: `name: ${JSON.stringify(request.name)} must be lower-case letters, digits, "-".`,
      fix: 'Give another with --name.',
    });
  }
  const others = members.filter(({ metadata }) => !(repeated && metadata.name === request.name));
  if (others.some(({ metadata }) => metadata.name === request.name)) {
    problems.push({
      problem: `There is a box ${request.name} in the cluster already.`,
      fix: 'Give this box another name with --name.',
    });
  }
  const holder = others.find(({ status }) => status?.peer?.address === request.address)?.metadata.name;
  if (holder !== undefined) {
    problems.push({
      problem: `Cluster address ${request.address} is that of ${holder}.`,
      fix: 'Give this box another with --address.',
    });
  }
  return problems;
}

type Role = 'voter' | 'agent';
const roleOf = ({ status }: Member): Role | undefined => status?.peer?.role;
const voters = (members: readonly Member[]): Member[] => members.filter((one) => roleOf(one) === 'voter');

/**
 * Voters are one or three, never two: the second box joins without a vote; with the third both get theirs.
 * @param members without the box that joins
 */
export const roleForJoin = (members: readonly Member[]): Role =>
  voters(members).length < 3 && members.filter((one) => roleOf(one) !== undefined).length >= 2 ? 'voter' : 'agent';

/** The box that is to become a voter now, to make two into three; a witness first: that is what it is for. */
export function promotion(members: readonly Member[]): string | undefined {
  if (voters(members).length !== 2) return undefined;
  const agents = members.filter((one) => roleOf(one) === 'agent');
  return (agents.find(({ status }) => status?.peer?.witness) ?? agents[0])?.metadata.name;
}
