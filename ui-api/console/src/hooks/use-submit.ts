import { useRef, useState, type FormEvent } from 'react';

/** A form that is sent once at a time; `error` is why the last try failed. `work` leads on by itself when it succeeds. */
export function useSubmit(work: () => Promise<unknown>): {
  isPending: boolean;
  error: unknown;
  submit: (event: FormEvent) => void;
} {
  const [isPending, setPending] = useState(false);
  const [error, setError] = useState<unknown>();
  // Two clicks may come before the first is drawn.
  const isSending = useRef(false);
  async function send(): Promise<void> {
    isSending.current = true;
    setPending(true);
    setError(undefined);
    try {
      await work();
    } catch (thrown) {
      setError(thrown);
    } finally {
      isSending.current = false;
      setPending(false);
    }
  }
  return {
    isPending,
    error,
    submit: (event) => {
      event.preventDefault();
      if (!isSending.current) void send();
    },
  };
}
