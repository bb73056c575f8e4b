/** What every route and plugin of the API is given, and what they find on a request. */
import type { FastifyBaseLogger, FastifyInstance, FastifyTypeProvider, RawServerDefault } from 'fastify';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Static, TSchema } from 'typebox';
import type { Config } from '../../appliance/config.ts';
import type { ErrorCode } from '../../appliance/errors.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import type { BoxPort, EventView, ImageUploads, TaskView, VmExports } from '../../appliance/ports.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Principal, Role } from '../auth/roles.ts';
import type { About } from './kube/status.ts';
import type { ApiRecords } from './records.ts';
import type { Certificate } from './certificate.ts';
import type { Notifications } from './notifications.ts';
import type { PlannedChange } from './planning-store.ts';

export type AppOptions = {
  store: ResourceStore;
  /** Box-local records: sessions, one-time tokens, idempotency keys, audit. */
  box: ApiRecords;
  port: BoxPort;
  uploads: ImageUploads;
  exports: VmExports;
  tasks: TaskView;
  events: EventView;
  config: Config;
  logger: Logger;
  version: string;
  /** Sign-in attempts accepted per minute and client address. Default 10. */
  signInsPerMinute?: number;
  /** Since when reads are served from memory, because the store doesn't answer. Default: never. */
  staleSince?: () => Date | undefined;
  /** Off where only the routes are wanted (the OpenAPI writer). Default on. */
  startNotifications?: boolean;
  /** Directory of the console's builds; empty: no console, only the plain pages. Default empty. */
  consoleDist?: string;
};

/** One per process. */
export type AppContext = Required<AppOptions> & {
  authenticator: Authenticator;
  notifications: Notifications;
  /** Called with a certificate that is to be served from now on. */
  onCertificate: Set<(certificate: Certificate) => void>;
  /** Sockets that came in through the unix socket: local root. */
  localSockets: WeakSet<Socket>;
};

/** TypeBox schemas give the handlers their types. */
export interface TypeBoxProvider extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown;
  serializer: unknown;
}

export type Server = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxProvider>;

/** The least role a route asks for; `open`: no sign-in. */
export type Permission = Role | 'open';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route declares it; plugins/permissions.ts refuses to start otherwise. */
    permission?: Permission;
    /** The answer or body carries a secret: never kept for replays, never shown in errors. */
    secret?: boolean;
    /** One of many pieces of a change that was audited when it began. */
    piece?: boolean;
    /** Changes nothing that lasts (a sign-in, a ticket): no dry run. */
    transient?: boolean;
    /** Of the Kubernetes face: its manners are Kubernetes'. What the route is about, for its failures. */
    kubernetes?: About | true;
    /** What the audit log calls it; default: from the method and the path. */
    verb?: string;
  }
  interface FastifyRequest {
    /** Who asks; undefined before sign-in. */
    principal: Principal | undefined;
    /** The store; under `?dryRun=true` one that only plans. */
    store: ResourceStore;
    /** Code of the problem it was answered with. */
    failure: ErrorCode | undefined;
    /** Under `?dryRun=true`: what would have been done so far. */
    plan: PlannedChange[] | undefined;
  }
  interface FastifySchema {
    summary?: string;
    hide?: boolean;
  }
}
