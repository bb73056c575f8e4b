/** QEMU's block jobs as far as moving a disk needs them, simulated: a mirror is ready at once. */
import { CroftError } from '../errors.ts';

type Job = { id: string; status: string; source: string; target: string };

/** A simulated guest's block layer; lives as long as the guest. */
export type SimBlocks = { nodes: Set<string>; jobs: Map<string, Job> /** Top node by disk. */; tops: Map<string, string> };

export const createSimBlocks = (): SimBlocks => ({ nodes: new Set(), jobs: new Map(), tops: new Map() });

export const topOf = (blocks: SimBlocks, disk: string, index: number): string => blocks.tops.get(disk) ?? `d${index}-g1`;

const refuse = (command: string, why: string): never => {
  throw new CroftError('qmp-failed', `${command}: ${why}`);
};

/** Answers a QMP command; what it doesn't know is answered with nothing. @throws CroftError `qmp-failed` */
export function simQmp(blocks: SimBlocks, disks: readonly string[], command: string, args: Record<string, unknown>): unknown {
  const job = (): Job => blocks.jobs.get(String(args.id)) ?? refuse(command, `there is no job ${String(args.id)}`);
  const node = String(args['node-name']);
  switch (command) {
    case 'query-jobs':
      return [...blocks.jobs.values()].map(({ id, status }) => ({ id, status, 'current-progress': 1, 'total-progress': 1 }));
    // One whose mirrors need the guest to stand still at first (moves/mirror.ts).
    case 'query-version':
      return { qemu: { major: 10, minor: 0, micro: 0 } };
    case 'query-named-block-nodes':
      return [...blocks.nodes].map((name) => ({ 'node-name': name }));
    case 'blockdev-add':
      blocks.nodes.add(node);
      return {};
    case 'blockdev-del':
      if ([...blocks.tops.values()].includes(node)) refuse(command, `node ${node} is in use`);
      blocks.nodes.delete(node);
      return {};
    case 'blockdev-mirror': {
      const id = String(args['job-id']);
      blocks.jobs.set(id, { id, status: 'ready', source: String(args.device), target: String(args.target) });
      return {};
    }
    case 'job-complete':
      job().status = 'pending';
      return {};
    case 'job-cancel':
      job().status = 'concluded';
      return {};
    case 'job-finalize': {
      const { source, target } = job();
      const disk = disks.find((name, index) => topOf(blocks, name, index) === source);
      if (disk !== undefined) blocks.tops.set(disk, target);
      job().status = 'concluded';
      return {};
    }
    case 'job-dismiss':
      blocks.jobs.delete(job().id);
      return {};
    // User-created objects, of which the simulation has none.
    case 'qom-list':
      return [];
    default:
      return {};
  }
}
