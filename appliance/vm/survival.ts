/** What a VM's disks survive, in one sentence. Pure. */
export type DiskSafety = {
  name: string;
  pool: string;
  /** Disks of the pool that may fail now without loss; undefined where it keeps one copy of everything. */
  survives: number | undefined;
};

/** Undefined for a VM without disks. */
export function survivalSentence(disks: readonly DiskSafety[]): string | undefined {
  if (disks.length === 0) return undefined;
  const names = (some: readonly DiskSafety[]): string => some.map(({ name }) => name).join(', ');
  const alone = disks.filter(({ survives }) => survives === undefined);
  if (alone.length > 0) {
    const which = alone.length === disks.length ? 'Its disks have' : `${names(alone)} ${alone.length === 1 ? 'has' : 'have'}`;
    return `${which} one copy, in pool ${[...new Set(alone.map(({ pool }) => pool))].join(', ')}: lost if the disk beneath fails.`;
  }
  const least = Math.min(...disks.map(({ survives = 0 }) => survives));
  if (least > 0) return `Its disks survive ${least === 1 ? 'one more failure' : `${least} more failures`}.`;
  const bare = disks.filter(({ survives }) => survives === 0);
  return `${names(bare)} may be lost if one more disk of pool ${[...new Set(bare.map(({ pool }) => pool))].join(', ')} fails now.`;
}
