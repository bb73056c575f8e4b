/** Events: one sentence about one object, for people; box-local, bounded. The stream of `/v1/events` is made of them. */
export type EventRecord = {
  /** Sequence within this box's log; grows by one. */
  seq: number;
  at: string;
  type: 'Normal' | 'Warning';
  /** One CamelCase word, e.g. `GuestShutdown`, `FailedAttach`. */
  reason: string;
  message: string;
  about: { kind: string; name: string; project?: string; id?: string };
};

export interface Events {
  record(event: Omit<EventRecord, 'seq' | 'at'>): void;
  list(query?: { kind?: string; name?: string; project?: string; limit?: number }): EventRecord[];
  subscribe(listener: (event: EventRecord) => void): () => void;
}
