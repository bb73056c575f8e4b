/** Copies a volume that nobody has open, from one pool to another, with qemu-img under a uid of its own. */
import type { BlockdevGraph, Progress } from '../../../storage/driver.ts';
import { run } from '../../host/exec.ts';

export type ClosedCopy = {
  source: BlockdevGraph;
  /** New: reads as zeros. */
  target: BlockdevGraph;
  owner: { uid: number; gid: number } | undefined;
  signal: AbortSignal;
  progress: Progress;
};

/** @throws CroftError `command-failed` with qemu-img's words; the signal's reason when it is aborted */
export type CopyClosed = (copy: ClosedCopy) => Promise<void>;

/** A disk of many TiB on slow disks. */
const copyDeadline = 7 * 24 * 3_600_000;

/** A graph as the one nested object that qemu-img opens: what a file's header says of other files is never followed. Pure. */
export function nestedOptions({ nodes, top }: BlockdevGraph): Record<string, unknown> {
  const named = new Map<string, Record<string, unknown>>();
  const follow = (value: unknown): unknown => (typeof value === 'string' ? (named.get(value) ?? value) : value);
  for (const { 'node-name': name, ...rest } of nodes) {
    const children = Object.fromEntries(['file', 'backing'].flatMap((key) => (key in rest ? [[key, follow(rest[key])]] : [])));
    named.set(name, { ...rest, ...children });
  }
  return named.get(top) ?? {};
}

const json = (options: Record<string, unknown>): string => `json:${JSON.stringify(options)}`;

export const copyClosed: CopyClosed = async ({ source, target, owner, signal, progress }) => {
  const into = nestedOptions(target);
  const argv = ['convert', '-p', '-t', 'writeback', '-n', '--target-is-zero', '-O', String(into.driver)];
  await run(['qemu-img', ...argv, json(nestedOptions(source)), json(into)], {
    timeout: copyDeadline,
    signal,
    ...owner,
    onLine: (line) => {
      const percent = /\(\s*([\d.]+)\/100%\)/.exec(line)?.[1];
      if (percent !== undefined) progress(Number(percent), 100);
    },
  });
};
