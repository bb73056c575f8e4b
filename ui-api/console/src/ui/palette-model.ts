/** What the palette shows for what was typed. Pure. */
export type Entry = { id: string; group: string; title: string; detail?: string; run: () => void };

const shownEntries = 12;

/** Every word must be in title, group or detail; titles that begin with what was typed come first. */
export function matching(entries: readonly Entry[], typed: string): Entry[] {
  const wanted = typed.trim().toLowerCase();
  const words = wanted.split(/\s+/).filter(Boolean);
  const rank = ({ title }: Entry): number => (wanted !== '' && title.toLowerCase().startsWith(wanted) ? 0 : 1);
  return entries
    .filter((entry) => words.every((word) => `${entry.title} ${entry.group} ${entry.detail ?? ''}`.toLowerCase().includes(word)))
    .toSorted((a, b) => rank(a) - rank(b))
    .slice(0, shownEntries);
}
