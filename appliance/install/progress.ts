/**
 * Turns apt's machine-readable progress into few lines for a person: `dlstatus:n:percent:text` while fetching,
 * `pmstatus:package:percent:text` while dpkg works (apt's doc/progress-reporting).
 */

export type AptProgress = { phase: 'fetch' | 'install'; percent: number; text: string };

/** Reads one line of apt's output; undefined when it isn't a status line. */
export function parseStatus(line: string): AptProgress | undefined {
  const match = /^(dlstatus|pmstatus):[^:]*(?::(?!\d)[^:]*)?:(\d+(?:\.\d+)?):(.*)$/.exec(line);
  if (!match) return undefined;
  return { phase: match[1] === 'dlstatus' ? 'fetch' : 'install', percent: Number(match[2]), text: match[3] as string };
}

const fetching = 'Fetching Debian packages';

/** A listener for apt's lines that logs each phase at its begin and every 20 percent; `working` names dpkg's part. */
export function progressLine(
  log: (line: string) => void,
  working = 'Installing Debian packages',
  step = 20,
): (line: string) => void {
  let phase: AptProgress['phase'] | undefined;
  let next = 0;
  return (line) => {
    const status = parseStatus(line);
    if (!status) return;
    if (status.phase !== phase) {
      // dpkg's first status lines come before the archives are fetched when apt interleaves them.
      phase = status.phase;
      next = 0;
    }
    if (status.percent < next) return;
    log(`${status.phase === 'fetch' ? fetching : working}: ${Math.floor(status.percent)} %`);
    next = (Math.floor(status.percent / step) + 1) * step;
  };
}
