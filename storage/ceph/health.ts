/** A cluster's state in words: how many copies there are, what is missing, when it is back. Pure over `ceph status`. */
import type { DiskState, PoolHealth } from '../driver.ts';
import type { OsdRecord } from './record.ts';

/** The part of `ceph status --format json` that is read; the same in 16.2 and 18.2. Bytes and objects; absent means none. */
export type CephStatus = {
  health: { status: string; checks: Record<string, { summary: { message: string } }> };
  pgmap: {
    pgs_by_state: { state_name: string; count: number }[];
    num_pgs: number;
    data_bytes: number;
    degraded_objects?: number;
    degraded_total?: number;
    misplaced_objects?: number;
    misplaced_total?: number;
    unfound_objects?: number;
    recovering_bytes_per_sec?: number;
  };
};

/** An OSD of `ceph osd dump --format json`; `up_from`: the map's epoch in which it last came up. */
export type OsdLine = { osd: number; uuid: string; up: number; in: number; up_from?: number };

/** A placement group of `ceph pg dump pgs --format json`. */
export type GroupLine = { reported_epoch: number | string; acting: number[] };

/**
 * True when what the cluster says of its groups is older than what became of their disks: a disk that went away and
 * came back may lack what was written meanwhile, and the figures do not know it yet.
 */
export const isStale = (groups: readonly GroupLine[], osds: readonly OsdLine[]): boolean =>
  groups.some(({ reported_epoch, acting }) =>
    acting.some((number) => {
      const osd = osds.find((line) => line.osd === number);
      return osd === undefined || osd.up === 0 || (osd.up_from ?? 0) > Number(reported_epoch);
    }),
  );

export type HealthInput = {
  status: CephStatus;
  osds: OsdLine[];
  /** The groups' states are older than the disks' (isStale). */
  stale?: boolean;
  records: readonly OsdRecord[];
  /** Uuids of the disks that are to stay. */
  wished: ReadonlySet<string>;
  replicas: number;
};

export function describeHealth(input: HealthInput): PoolHealth {
  const recovery = recoveryOf(input);
  return { ...stateOf(input), ...(recovery ? { recovery } : {}) };
}

/** How far the making of missing copies is; undefined when none are missing. */
function recoveryOf({ status: { pgmap }, replicas }: HealthInput): PoolHealth['recovery'] {
  const { degraded_objects: degraded = 0, degraded_total: total = 0 } = pgmap;
  if (degraded === 0 || total === 0) return undefined;
  const bytesPerSecond = Math.round(pgmap.recovering_bytes_per_sec ?? 0);
  const missing = Math.min(1, (degraded / total) * replicas);
  const rest = (degraded / total) * pgmap.data_bytes * replicas;
  return { missing, bytesPerSecond, ...(bytesPerSecond > 0 ? { seconds: Math.ceil(rest / bytesPerSecond) } : {}) };
}

function stateOf(input: HealthInput): PoolHealth {
  const { status, replicas } = input;
  const disks = input.records.map((record) => diskState(record, input));
  const { pgmap } = status;
  const count = (matches: (state: string) => boolean): number =>
    pgmap.pgs_by_state.filter(({ state_name }) => matches(state_name)).reduce((sum, { count: groups }) => sum + groups, 0);
  const unsettled = count((state) => /^(unknown|creating)/.test(state));
  const agreeing = count((state) => /^(remapped\+)?peering/.test(state) || state === 'activating');
  const blocked = count((state) => !state.split('+').includes('active')) - unsettled - agreeing;
  const down = disks.filter(({ state }) => state === 'down');
  // The groups' states lag some seconds behind; a disk that is down and still counted on is missing now.
  const counted = down.some(({ id }) => input.osds.some((osd) => osd.uuid === id && osd.in === 1));
  const short = count((state) => /undersized|degraded/.test(state)) + (counted ? 1 : 0);
  const because = down.length > 0 ? ` (${down.map(({ name }) => name).join(', ')} down)` : '';

  if (blocked > 0) {
    const message = `${percent(blocked, pgmap.num_pgs)} of the data cannot be reached${because}: VMs that need it wait.`;
    return { state: 'blocked', message, survives: 0, disks };
  }
  if (agreeing > 0) {
    return {
      state: 'blocked',
      message: `The disks are agreeing on what is current${because}: VMs wait a moment.`,
      survives: 0,
      disks,
    };
  }
  if (unsettled > 0) {
    return { state: 'unknown', message: 'The cluster has just been started; it is finding its data.', survives: 0, disks };
  }
  if (short > 0) {
    const missing = pgmap.degraded_total ? (pgmap.degraded_objects ?? 0) / pgmap.degraded_total : 0;
    const part = missing > 0 ? ` of ${percent(missing * replicas, 1)}` : '';
    const message = `Data is ${replicas}×, one copy${part} missing${because}, ${back(input, missing)}.`;
    return { state: rebuilding(status) ? 'rebuilding' : 'degraded', message, survives: Math.max(0, replicas - 2), disks };
  }
  if (input.stale) {
    return { state: 'rebuilding', message: 'A disk came or went just now; its copies are being looked at.', survives: 0, disks };
  }
  const survives = replicas - 1;
  if (down.length > 0) {
    return {
      state: 'degraded',
      message: `Data is ${replicas}×, all copies there; ${down.map(({ name }) => name).join(', ')} down.`,
      survives,
      disks,
    };
  }
  const moving = pgmap.misplaced_objects ? ' Data is being moved between disks.' : '';
  return { state: 'ok', message: `Data is ${replicas}×.${moving}`, survives, disks };
}

const rebuilding = ({ pgmap }: CephStatus): boolean =>
  (pgmap.recovering_bytes_per_sec ?? 0) > 0 || pgmap.pgs_by_state.some(({ state_name }) => /recover|backfill/.test(state_name));

function back({ status, osds, wished, records, replicas }: HealthInput, missing: number): string {
  const rate = status.pgmap.recovering_bytes_per_sec ?? 0;
  if (rate > 0) return `back in ~${duration((missing * status.pgmap.data_bytes * replicas) / rate)}`;
  if (rebuilding(status)) return 'being made again';
  const usable = osds.filter((osd) => osd.up && records.some(({ uuid }) => uuid === osd.uuid && wished.has(uuid))).length;
  return usable < replicas ? 'replace or bring back the disk' : 'about to be made again';
}

function diskState(record: OsdRecord, { osds, wished }: HealthInput): DiskState {
  const line = osds.find(({ uuid }) => uuid === record.uuid);
  const name = record.number === undefined ? record.path : `osd.${record.number}`;
  const base = {
    id: record.uuid,
    name,
    path: record.path,
    size: record.size,
    ...(record.serial ? { serial: record.serial } : {}),
  };
  if (record.state === 'preparing' || !line) return { ...base, state: 'preparing' };
  if (!wished.has(record.uuid)) return { ...base, state: 'leaving' };
  return { ...base, state: line.up ? 'up' : 'down' };
}

const percent = (part: number, whole: number): string => {
  const value = Math.min(100, (100 * part) / Math.max(1, whole));
  return value > 0 && value < 1 ? 'under 1 %' : `${Math.round(value)} %`;
};

/** Seconds as people say them. */
export const duration = (seconds: number): string => {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
};

/** True when every placement group has all its copies. */
export const allClean = ({ pgmap }: CephStatus): boolean =>
  pgmap.pgs_by_state.every(({ state_name }) => ['active', 'clean'].every((word) => state_name.split('+').includes(word)));

/** True when every placement group serves and no object is lost: what is on a disk that is down is not needed. */
export const allServed = ({ pgmap }: CephStatus): boolean =>
  (pgmap.unfound_objects ?? 0) === 0 &&
  pgmap.pgs_by_state.every(({ state_name }) => {
    const words = state_name.split('+');
    return words.includes('active') && !words.includes('stale') && !words.includes('recovery_unfound');
  });
