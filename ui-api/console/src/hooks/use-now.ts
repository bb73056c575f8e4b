import { useEffect, useState } from 'react';

/** The present time, again every `interval` ms: ages on the screen grow by themselves. */
export function useNow(interval: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), interval);
    return () => clearInterval(timer);
  }, [interval]);
  return now;
}
