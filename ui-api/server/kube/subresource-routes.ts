/** The subresources of VMs on a box without Kubernetes: one route per verb, so that each declares who may. */
import type { Duplex } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { CroftError } from '../../../appliance/errors.ts';
import type { AppContext, Permission, Server } from '../context.ts';
import { join } from '../routes/console.ts';
import { refuseHidden } from '../admission.ts';
import { paramsOf } from './objects.ts';
import { route } from './route.ts';
import type { About } from './status.ts';
import {
  answerSubresource,
  forwards,
  handlers,
  openSubresource,
  streams,
  subresourceGroup,
  subresourceVersions,
} from './subresources.ts';

const kinds: Record<string, string> = { virtualmachines: 'VirtualMachine', virtualmachineinstances: 'VirtualMachineInstance' };
const aboutOf = (plural: string): About => ({ group: subresourceGroup, kind: kinds[plural] ?? plural, plural });

export function subresourceRoutes(scope: Server, { port, version, logger }: AppContext): void {
  const pathOf = (request: FastifyRequest): string => request.url.split('?', 1)[0] ?? '/';
  const contextOf = ({ store }: FastifyRequest) => ({ store, port, version });

  const answer = async (request: FastifyRequest, reply: FastifyReply) => {
    refuseHidden(paramsOf(request).namespace);
    const result = await answerSubresource(contextOf(request), request.method, pathOf(request), request.body);
    if ('png' in result) return reply.type('image/png').send(result.png);
    if ('json' in result) return result.json;
    if (result.warning !== undefined) reply.header('warning', `299 - "${result.warning}"`);
    return reply.code(202).send();
  };

  const opened = new WeakMap<object, Duplex>();
  /** Opened before the upgrade: what isn't possible is a plain refusal. */
  const open = async (request: FastifyRequest): Promise<void> => {
    refuseHidden(paramsOf(request).namespace);
    if (!request.ws) throw new CroftError('invalid-input', 'This is a WebSocket; connect to it with Upgrade: websocket.');
    const stream = await openSubresource(contextOf(request), pathOf(request));
    opened.set(request, stream);
    request.raw.socket.once('close', () => stream.destroy());
  };
  const carry = (socket: WebSocket, request: FastifyRequest): void => {
    const stream = opened.get(request);
    if (stream) join(socket, stream, (error) => logger.info({ err: error }, 'stream ended'));
    else socket.close(1011);
  };

  const root = `/apis/${subresourceGroup}`;
  for (const one of subresourceVersions) {
    route(scope, 'GET', `${root}/${one}/version`, 'viewer', answer);
    const below = `${root}/${one}/namespaces/:namespace`;
    route(scope, 'PUT', `${below}/expand-vm-spec`, 'viewer', answer);
    for (const key of Object.keys(handlers)) {
      const [method, path] = key.split(' ') as ['GET' | 'PUT', string];
      const [plural = '', ...verb] = path.split('/');
      const permission: Permission = method === 'GET' ? 'viewer' : 'operator';
      const word = `${plural.slice(0, -1)}.${verb.join('.')}`;
      route(scope, method, `${below}/${plural}/:name/${verb.join('/')}`, permission, answer, aboutOf(plural), word);
    }
    for (const path of [...streams, ...forwards]) {
      const [plural = '', verb = ''] = path.split('/');
      const url = `${below}/${plural}/:name/${verb}${forwards.includes(path) ? '/:port/:protocol' : ''}`;
      const config = { permission: 'operator', kubernetes: aboutOf(plural) } as const;
      scope.get(url, { config, websocket: true, exposeHeadRoute: false, preHandler: open }, carry);
    }
  }
}
