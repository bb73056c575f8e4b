/** Every change and every refused one: who, what, when, from where, how it ended. On disk before the answer leaves. */
import type { FastifyRequest } from 'fastify';
import type { AppContext, Server } from '../context.ts';
import { onChanges } from './changes.ts';

/** `local` for the unix socket. */
export const addressOf = (request: FastifyRequest): string =>
  request.principal?.via === 'socket' ? 'local' : (request.ip ?? 'local');

/** Sign-ins have no principal yet: the name that was tried. */
function whoOf(request: FastifyRequest): string {
  if (request.principal) return request.principal.name;
  const { user } = (request.body ?? {}) as { user?: unknown };
  return typeof user === 'string' ? user.slice(0, 63) : 'anonymous';
}

const verbs: Record<string, string> = { POST: 'create', PUT: 'update', PATCH: 'update', DELETE: 'delete' };

/** `POST /v1/vms/:name/start` → `vm.start`, `PUT /v1/vms/:name/nics/:nic` → `vm.nic.update`. Pure. */
export function verbOf(method: string, route: string): string {
  const parts = route.split('/').filter((part) => part !== '' && part !== 'v1');
  const words = parts.filter((part) => !part.startsWith(':'));
  const nouns = words.map((word) => (word === 'disks' || !word.endsWith('ss') ? word.replace(/s$/, '') : word));
  // POST to a word below one object is an action on it, unless the word is a collection.
  const last = words.at(-1) ?? '';
  const isAction =
    method === 'POST' &&
    !parts.at(-1)?.startsWith(':') &&
    (words.length > 1 ? !last.endsWith('s') : ['apply', 'setup'].includes(last));
  return isAction && words.length > 1
    ? nouns.slice(0, -1).concat(last).join('.')
    : isAction
      ? last
      : `${nouns.join('.')}.${verbs[method] ?? method}`;
}

/** `vms/web-1`; for a create the name from the body, with the project where one is said. */
function targetOf(request: FastifyRequest): string {
  if (request.routeOptions.config.kubernetes) return kubernetesTarget(request);
  const path = request.url.split('?', 1)[0]?.replace(/^\/(v1\/)?/, '') ?? '';
  const { name } = (request.body ?? {}) as { name?: unknown };
  const { project } = (request.query ?? {}) as { project?: unknown };
  const isCreate = request.method === 'POST' && typeof name === 'string' && !path.includes('/');
  const where = typeof project === 'string' && project !== '' ? `?project=${project}` : '';
  return `${isCreate ? `${path}/${name}` : path}${where}`.slice(0, 512);
}

/** As through `/v1`: `virtualmachines/web-1?project=default`. */
function kubernetesTarget({ routeOptions, params, body, url }: FastifyRequest): string {
  const about = routeOptions.config.kubernetes;
  const { namespace, name: given } = (params ?? {}) as { namespace?: string; name?: string };
  const { metadata } = (body ?? {}) as { metadata?: { name?: unknown } };
  const name = given ?? (typeof metadata?.name === 'string' ? metadata.name : undefined);
  if (typeof about !== 'object') return (url.split('?', 1)[0] as string).slice(1, 512);
  return `${about.plural}${name === undefined ? '' : `/${name}`}${namespace === undefined ? '' : `?project=${namespace}`}`.slice(
    0,
    512,
  );
}

export function useAudit(app: Server, { box, logger }: AppContext): void {
  onChanges(app, 'onSend', async (request, reply, payload) => {
    const piece = request.routeOptions.config.piece === true && reply.statusCode < 400;
    if (request.plan || piece) return payload;
    try {
      box.audit.append({
        who: whoOf(request),
        from: addressOf(request),
        verb: request.routeOptions.config.verb ?? verbOf(request.method, request.routeOptions.url ?? ''),
        target: targetOf(request),
        result: reply.statusCode < 400 ? 'ok' : (request.failure ?? String(reply.statusCode)),
        traceId: String(request.id),
      });
    } catch (error) {
      // The change is made; failing the answer would only hide that.
      logger.error({ err: error, traceId: request.id }, 'the audit log could not be written');
    }
    return payload;
  });
}
