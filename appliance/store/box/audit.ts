/** The audit log in box.db: every change, who made it, from where, and how it ended. On disk before it is answered. */
import type { Database } from '../database.ts';

export type AuditEntry = {
  seq: number;
  /** ISO 8601. */
  at: string;
  /** User or token, e.g. `admin`, `token:ci`; `root` over the local socket. */
  who: string;
  /** Address the request came from, or `local`. */
  from: string;
  /** `vm.create`, `user.reset-password`. */
  verb: string;
  /** `vms/default/web-1`. */
  target: string;
  /** `ok`, or the error's code. */
  result: string;
  traceId?: string;
};

export type AuditLog = {
  append(entry: Omit<AuditEntry, 'seq' | 'at'>): AuditEntry;
  /** Newest first; `before` is the seq of the last entry of the page before. Default limit 100. */
  list(query?: { who?: string; target?: string; limit?: number; before?: number }): AuditEntry[];
};

const stride = 100;

export function createAuditLog(
  database: Database,
  { now, keep, keepFor }: { now: () => number; keep: number; keepFor: number },
): AuditLog {
  let seq = database.get<{ seq: number }>(`SELECT seq FROM sqlite_sequence WHERE name = 'audit'`)?.seq ?? 0;
  return {
    append(entry) {
      const at = now();
      const { who, from, verb, target, result, traceId } = entry;
      const full: AuditEntry = { seq: seq + 1, at: new Date(at).toISOString(), who, from, verb, target, result };
      if (traceId !== undefined) full.traceId = traceId;
      database.write(() => {
        database.run('INSERT INTO audit VALUES (?, ?, ?)', full.seq, at, JSON.stringify(full));
        if (full.seq % stride === 0) database.run('DELETE FROM audit WHERE seq <= ? OR at < ?', full.seq - keep, at - keepFor);
      });
      seq = full.seq;
      return full;
    },
    list({ who, target, limit = 100, before } = {}) {
      return database
        .all<{ json: string }>(
          `SELECT json FROM audit WHERE seq < coalesce(?, seq + 1) AND coalesce(json ->> 'who' = ?, 1)
           AND coalesce(json ->> 'target' = ?, 1) ORDER BY seq DESC LIMIT ?`,
          before ?? null,
          who ?? null,
          target ?? null,
          limit,
        )
        .map(({ json }) => JSON.parse(json) as AuditEntry);
    },
  };
}
