/**
 * What a disk says of itself (SMART), by smartctl where it is installed. Asked for every ten minutes and never waited
 * for: a dying disk may answer after minutes, and health must not.
 */
import { realpath, stat } from 'node:fs/promises';
import { run } from '../../appliance/host/exec.ts';
import { messageOf } from '../../appliance/errors.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import type { DiskSmart } from '../driver.ts';

const interval = 600_000;
const deadline = 60_000;
/** Celsius; makers' limits are 60 to 70. */
const hot = 60;

/** The part of `smartctl --json --all` (7.0 and later) that is read. */
type Report = {
  smart_status?: { passed?: boolean };
  temperature?: { current?: number };
  power_on_time?: { hours?: number };
  ata_smart_attributes?: { table?: { id: number; raw?: { value?: number } }[] };
  nvme_smart_health_information_log?: { percentage_used?: number; media_errors?: number };
  scsi_grown_defect_list?: number;
};

/** ATA attributes: sectors moved away, waiting to be, and unreadable. */
const sectorAttributes = new Set([5, 197, 198]);

/** Undefined where the device has nothing to say (virtual disks, most USB bridges). Pure. @throws SyntaxError on other text */
export function parseSmart(text: string): DiskSmart | undefined {
  const report = JSON.parse(text) as Report;
  const table = report.ata_smart_attributes?.table;
  const log = report.nvme_smart_health_information_log;
  const sectors = table
    ?.filter(({ id }) => sectorAttributes.has(id))
    // Some makers keep other counters in the upper bytes.
    .reduce((sum, { raw }) => sum + ((raw?.value ?? 0) % 2 ** 32), 0);
  const found = {
    passed: report.smart_status?.passed,
    temperature: report.temperature?.current,
    hours: report.power_on_time?.hours,
    wear: log?.percentage_used,
    badSectors: sectors ?? log?.media_errors ?? report.scsi_grown_defect_list,
  };
  const known = Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
  return Object.keys(known).length > 0 ? known : undefined;
}

/** What one should know of a disk before it fails, in one sentence; undefined when there is nothing. Pure. */
export function warningOf({ passed, temperature, wear, badSectors }: DiskSmart): string | undefined {
  if (passed === false) return 'The disk says that it is failing: replace it.';
  if (badSectors !== undefined && badSectors > 0)
    return `${badSectors} ${badSectors === 1 ? 'sector is' : 'sectors are'} bad: replace it soon.`;
  if (wear !== undefined && wear >= 90) return `${wear} % of its life is used up.`;
  if (temperature !== undefined && temperature >= hot) return `It is ${temperature} °C hot.`;
  return undefined;
}

export type Smart = { of(path: string): DiskSmart | undefined };

/** `program`: for tests. */
export function createSmart(logger: Logger, program = 'smartctl'): Smart {
  const known = new Map<string, { at: number; facts: DiskSmart | undefined }>();

  const ask = async (path: string): Promise<DiskSmart | undefined> => {
    const device = await realpath(path);
    if (!(await stat(device)).isBlockDevice()) return undefined;
    // Its exit code is a set of flags, most of which say that something is wrong with the disk.
    const okCodes = Array.from({ length: 256 }, (_, code) => code).filter((code) => code !== 127);
    const { stdout } = await run([program, '--json', '--all', device], { timeout: deadline, okCodes });
    return parseSmart(stdout);
  };

  return {
    of(path) {
      const entry = known.get(path);
      if (entry && Date.now() - entry.at < interval) return entry.facts;
      known.set(path, { at: Date.now(), facts: entry?.facts });
      ask(path).then(
        (facts) => known.set(path, { at: Date.now(), facts }),
        (error: unknown) => logger.debug({ path, error: messageOf(error) }, 'a disk was not asked how it is'),
      );
      return entry?.facts;
    },
  };
}
