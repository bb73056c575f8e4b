import { useNow } from '../hooks/use-now.ts';
import { formatAge, formatTime, formatUtc } from '../format.ts';

/** How long ago, local time and UTC on hover. */
export function Age({ time }: { time: string | undefined }) {
  const now = useNow(30_000);
  if (time === undefined) return <>–</>;
  return (
    <time dateTime={time} title={`${formatTime(time)} (${formatUtc(time)})`} className="croft-nowrap">
      {formatAge(time, Math.max(now, Date.now()))}
    </time>
  );
}
