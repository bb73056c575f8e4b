import { useState, type FormEvent } from 'react';

/** A form that is sent once at a time; `error` is why the last try failed. `work` leads on by itself when it succeeds. */
export function useSubmit(work: () => Promise<unknown>): {
  isPending: boolean;
  error: unknown;
  submit: (event: FormEvent) => void;
} {
  const [isPending, setPending] = useState(false);
  const [error, setError] = useState<unknown>();
  async function send(): Promise<void> {
    setPending(true);
    setError(undefined);
    try {
      await work();
    } catch (thrown) {
      setError(thrown);
    } finally {
      setPending(false);
    }
  }
  return {
    isPending,
    error,
    submit: (event) => {
      event.preventDefault();
      if (!isPending) void send();
    },
  };
}
