/** What the console reads. Nothing here polls: live.ts says when something changed. */
import { keepPreviousData, QueryClient, queryOptions, useQuery } from '@tanstack/react-query';
import type {
  ApiEvent,
  Certificate,
  Explanation,
  History,
  Kubernetes,
  Node,
  Page,
  Releases,
  Sparklines,
  Task,
} from '../../../client/types.ts';
import { ApiProblem } from '../../../client/problem.ts';
import { client } from './client.ts';

export type Role = 'viewer' | 'operator' | 'admin';
export type Session = { user: string; role: Role; via: string; expiresAt?: string };
export type AuditEntry = {
  seq: number;
  at: string;
  who: string;
  from: string;
  verb: string;
  target: string;
  result: string;
};

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: Number.POSITIVE_INFINITY,
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
      // An answer that says no will say it again; a broken connection may be a service that starts.
      retry: (count, error) => !(error instanceof ApiProblem) && count < 2,
    },
  },
});

const read = async <T>(path: string, query: Record<string, string | number | boolean | undefined>, signal: AbortSignal) =>
  (await client.request<T>('GET', path, { query, signal })).body;
const readItems = async <T>(path: string, query: Record<string, string | number | boolean | undefined>, signal: AbortSignal) =>
  (await read<Page<T>>(path, query, signal)).items;

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: ({ signal }) => read<Session>('/v1/session', {}, signal),
});
export const versionQuery = queryOptions({
  queryKey: ['version'],
  queryFn: ({ signal }) => read<{ version: string; features: string[] }>('/v1/version', {}, signal),
});
/** The longest page the API gives: a thousand machines come in one answer. */
const longest = { limit: 1000 };
export const vmsQuery = queryOptions({ queryKey: ['vms'], queryFn: ({ signal }) => client.vms.list(longest, signal) });
export const vmQuery = (name: string, project: string) =>
  queryOptions({ queryKey: ['vms', project, name], queryFn: ({ signal }) => client.vms.get(name, { project }, signal) });
export const snapshotsQuery = (vm: string, project: string) =>
  queryOptions({
    queryKey: ['snapshots', project, vm],
    queryFn: ({ signal }) => client.snapshots(vm).list({ project }, signal),
  });
export const uplinksQuery = queryOptions({ queryKey: ['uplinks'], queryFn: ({ signal }) => client.uplinks.list({}, signal) });
export const explainQuery = (name: string, project: string) =>
  queryOptions({
    queryKey: ['vms', project, name, 'explain'],
    queryFn: ({ signal }) => read<Explanation>(`/v1/vms/${encodeURIComponent(name)}/explain`, { project }, signal),
  });
export const imagesQuery = queryOptions({ queryKey: ['images'], queryFn: ({ signal }) => client.images.list({}, signal) });
export const catalogueQuery = queryOptions({
  queryKey: ['image-catalogue'],
  queryFn: ({ signal }) => client.imageCatalogue.list({}, signal),
});
export const volumesQuery = queryOptions({ queryKey: ['volumes'], queryFn: ({ signal }) => client.volumes.list({}, signal) });
export const networksQuery = queryOptions({ queryKey: ['networks'], queryFn: ({ signal }) => client.networks.list({}, signal) });
export const poolsQuery = queryOptions({ queryKey: ['pools'], queryFn: ({ signal }) => client.pools.list({}, signal) });
// Below the pools' key: a pool's change is a disk's too.
export const disksQuery = queryOptions({ queryKey: ['pools', 'disks'], queryFn: ({ signal }) => client.disks.list({}, signal) });
export const sizesQuery = queryOptions({ queryKey: ['sizes'], queryFn: ({ signal }) => client.instancetypes.list({}, signal) });
export const nodeQuery = queryOptions({ queryKey: ['node'], queryFn: ({ signal }) => read<Node>('/v1/node', {}, signal) });
export const nodesQuery = queryOptions({
  queryKey: ['node', 'all'],
  queryFn: ({ signal }) => readItems<Node>('/v1/nodes', {}, signal),
});
export const nicsQuery = queryOptions({
  queryKey: ['uplinks', 'nics'],
  queryFn: ({ signal }) => client.nics.list({}, signal),
  // Cables are plugged and pulled without a word: read again whenever it is looked at.
  staleTime: 0,
});
// Below the box's key: what changes of the box may be its releases.
export const releasesQuery = queryOptions({
  queryKey: ['node', 'releases'],
  queryFn: ({ signal }) => read<Releases>('/v1/node/update', {}, signal),
});
export const certificateQuery = queryOptions({
  queryKey: ['certificate'],
  queryFn: ({ signal }) => read<Certificate>('/v1/node/certificate', {}, signal),
});
export const kubernetesQuery = queryOptions({
  queryKey: ['kubernetes'],
  queryFn: ({ signal }) => read<Kubernetes>('/v1/kubernetes', {}, signal),
});
/** Whose history: a VM's, or the box's own. */
export type HistoryOf = { vm: string; project: string } | 'node';
export const historyQuery = (of: HistoryOf, range: History['range']) =>
  queryOptions({
    queryKey: ['history', of, range],
    queryFn: ({ signal }) =>
      of === 'node'
        ? read<History>('/v1/node/history', { range }, signal)
        : read<History>(`/v1/vms/${encodeURIComponent(of.vm)}/history`, { range, project: of.project }, signal),
  });
export const sparklinesQuery = queryOptions({
  queryKey: ['history', 'sparklines'],
  queryFn: ({ signal }) => read<Sparklines>('/v1/node/sparklines', {}, signal),
});
export const usersQuery = queryOptions({ queryKey: ['users'], queryFn: ({ signal }) => client.users.list({}, signal) });
export const tokensQuery = queryOptions({ queryKey: ['tokens'], queryFn: ({ signal }) => client.tokens.list({}, signal) });
export const tasksQuery = queryOptions({
  queryKey: ['tasks'],
  queryFn: ({ signal }) => readItems<Task>('/v1/tasks', { limit: 100 }, signal),
});
/** One task with its log; `version` tells what was known of it when it was asked for. */
export const taskQuery = (id: string, version: string) =>
  queryOptions({
    queryKey: ['tasks', id, version],
    queryFn: ({ signal }) => read<Task>(`/v1/tasks/${encodeURIComponent(id)}`, {}, signal),
    placeholderData: keepPreviousData,
    gcTime: 10_000,
  });
export const eventsQuery = (about: { kind?: string; name?: string; project?: string } = {}) =>
  queryOptions({
    queryKey: ['events', about],
    queryFn: ({ signal }) => readItems<ApiEvent>('/v1/events', { list: true, limit: 200, ...about }, signal),
  });
export const auditQuery = queryOptions({
  queryKey: ['audit'],
  queryFn: ({ signal }) => readItems<AuditEntry>('/v1/audit', { limit: 200 }, signal),
  // The audit log is not in the stream: read again whenever it is looked at.
  staleTime: 0,
});

/** Who is signed in; the shell renders only then. */
export function useSession(): Session {
  const { data } = useQuery(sessionQuery);
  return data ?? { user: '', role: 'viewer', via: 'session' };
}
