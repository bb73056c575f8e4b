import { useEffect, useState } from 'react';

/** The value once it has not changed for `delay` ms: what is typed is asked about when the typing pauses. */
export function useSettled<T>(value: T, delay = 250): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), delay);
    return () => clearTimeout(timer);
  }, [value, delay]);
  return settled;
}
