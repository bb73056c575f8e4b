/**
 * The REST API `/v1`.
 *
 * Theory of operation: routes are thin, handler = project → store; the reconcilers do the work. What holds for every
 * route stands once, as a plugin: errors leave as problem+json (problems), requests are checked by the routes' schemas
 * (validation), callers are told apart and held to the permission each route declares (permissions, csrf), changes have
 * dry run, idempotency keys and audit. `createApp` composes them; `listen` (listen.ts) serves the app on TCP, TLS and
 * the unix socket at once. OpenAPI is made from the same schemas (openapi.ts).
 *
 * Order matters: the shared hooks live in one scope that loads after rate-limit and websocket. What only changes need is a
 * hook of those routes alone (plugins/changes.ts): reads are asked for by the thousand, and a hook costs each of them.
 */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import rateLimit from '@fastify/rate-limit';
import websocket from '@fastify/websocket';
import fastify, { LogController } from 'fastify';
import type { TSchema } from 'typebox';
import { createAuthenticator } from '../auth/authenticator.ts';
import { consoleFiles } from './console-files.ts';
import type { AppContext, AppOptions, Server } from './context.ts';
import { createNotifications } from './notifications.ts';
import type { RouteList } from './openapi.ts';
import { useAudit } from './plugins/audit.ts';
import { bodyLimit, useBodies } from './plugins/bodies.ts';
import { useCsrf } from './plugins/csrf.ts';
import { useDryRun } from './plugins/dry-run.ts';
import { useHeaders } from './plugins/headers.ts';
import { useIdempotency } from './plugins/idempotency.ts';
import { usePermissions } from './plugins/permissions.ts';
import { sendProblem, useProblems } from './plugins/problems.ts';
import { compilersFactory, useValidation } from './plugins/validation.ts';
import { kubeFace } from './kube/face.ts';
import { kubernetesRoutes } from './routes/kubernetes.ts';
import { applyRoutes } from './routes/apply.ts';
import { auditRoutes } from './routes/audit.ts';
import { certificateRoutes } from './routes/certificate.ts';
import { clusterRoutes } from './routes/cluster.ts';
import { consoleRoutes } from './routes/console.ts';
import { eventRoutes } from './routes/events.ts';
import { historyRoutes } from './routes/history.ts';
import { imageRoutes } from './routes/images.ts';
import { imageUploadRoutes } from './routes/image-uploads.ts';
import { instancetypeRoutes } from './routes/instancetypes.ts';
import { networkRoutes } from './routes/networks.ts';
import { nodeRoutes } from './routes/node.ts';
import { diskRoutes } from './routes/disks.ts';
import { poolRoutes } from './routes/pools.ts';
import { sessionRoutes } from './routes/session.ts';
import { snapshotRoutes } from './routes/snapshots.ts';
import { systemRoutes } from './routes/system.ts';
import { taskRoutes } from './routes/tasks.ts';
import { tokenRoutes } from './routes/tokens.ts';
import { updateRoutes } from './routes/updates.ts';
import { uplinkRoutes } from './routes/uplinks.ts';
import { userRoutes } from './routes/users.ts';
import { vmActionRoutes } from './routes/vm-actions.ts';
import { vmExportRoutes } from './routes/vm-export.ts';
import { vmImportRoutes } from './routes/vm-import.ts';
import { vmMigrateRoutes } from './routes/vm-migrate.ts';
import { volumeMoveRoutes } from './routes/volume-moves.ts';
import { vmDeviceRoutes } from './routes/vm-devices.ts';
import { vmRoutes } from './routes/vms.ts';
import { volumeRoutes } from './routes/volumes.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** What listen.ts needs of the app. */
    croft: {
      context: AppContext;
      routes: RouteList /** Run at close. */;
      closers: (() => Promise<void>)[];
      /** Where TCP is listened on, once it is. */
      address?: { host: string; port: number };
    };
  }
}

/** Frames of a console are small; a browser that sends more is broken or hostile. */
const maxFrame = 1024 * 1024;

export function createApp(options: AppOptions): Server {
  const { store, box, events, tasks, logger } = options;
  const localSockets = new WeakSet<Socket>();
  const context: AppContext = {
    signInsPerMinute: 10,
    startNotifications: true,
    staleSince: () => undefined,
    consoleDist: '',
    ...options,
    localSockets,
    onCertificate: new Set(),
    authenticator: createAuthenticator(store, box, localSockets),
    notifications: createNotifications({ store, events, tasks, port: options.port, logger }),
  };
  const app: Server = fastify({
    loggerInstance: logger.child({}, { level: logger.level }),
    // One line per request would drown the log of a polling box; failures are logged by problems.ts, changes audited.
    logController: new LogController({ disableRequestLogging: true }),
    schemaController: { compilersFactory },
    // No logger for each request, which costs more than most answers: what is logged names the trace id itself.
    childLoggerFactory: (base) => base,
    bodyLimit,
    genReqId: traceIds(),
    routerOptions: { maxParamLength: 300 },
    frameworkErrors: (error, request, reply) => void sendProblem(error, request, reply),
  }) as unknown as Server;
  const routes: RouteList = [];
  const closers: (() => Promise<void>)[] = [];
  app.decorate('croft', { context, routes, closers });

  useProblems(app);
  useHeaders(app, context);
  app.register(rateLimit, { global: false, keyGenerator: (request) => request.ip ?? 'local' });
  app.register(websocket, { options: { maxPayload: maxFrame } });
  app.register(async (instance) => {
    const scope = instance as unknown as Server;
    useBodies(scope);
    useValidation(scope);
    usePermissions(scope, context);
    useCsrf(scope);
    useAudit(scope, context);
    useDryRun(scope, context);
    useIdempotency(scope, context);
    rememberRoutes(scope, routes);
    if (context.consoleDist) consoleFiles(scope, { dist: context.consoleDist });
    allRoutes(scope, context, routes);
    // In a cluster these are kube-apiserver's.
    if (context.config.store !== 'kubernetes') kubeFace(scope, context);
  });
  app.addHook('onReady', async () => {
    if (context.startNotifications) context.notifications.start();
  });
  app.addHook('onClose', async () => {
    await context.notifications.stop();
    await Promise.all(closers.map((close) => close()));
  });
  return app;
}

/** 16 hex digits: eight of this start of the service, eight that count its requests. */
function traceIds(): () => string {
  const start = randomBytes(4).toString('hex');
  let count = 0;
  return () => {
    count = (count + 1) >>> 0;
    return start + count.toString(16).padStart(8, '0');
  };
}

function allRoutes(scope: Server, context: AppContext, routes: RouteList): void {
  systemRoutes(scope, context, routes);
  sessionRoutes(scope, context);
  vmRoutes(scope, context);
  instancetypeRoutes(scope);
  vmActionRoutes(scope, context);
  vmDeviceRoutes(scope);
  vmImportRoutes(scope);
  vmExportRoutes(scope, context);
  snapshotRoutes(scope, context);
  volumeMoveRoutes(scope, context);
  vmMigrateRoutes(scope, context);
  consoleRoutes(scope, context);
  imageRoutes(scope);
  imageUploadRoutes(scope, context);
  volumeRoutes(scope);
  networkRoutes(scope);
  uplinkRoutes(scope);
  poolRoutes(scope);
  diskRoutes(scope);
  userRoutes(scope, context);
  tokenRoutes(scope);
  nodeRoutes(scope, context);
  certificateRoutes(scope, context);
  historyRoutes(scope, context);
  updateRoutes(scope, context);
  clusterRoutes(scope, context);
  kubernetesRoutes(scope, context);
  taskRoutes(scope, context);
  eventRoutes(scope, context);
  auditRoutes(scope, context);
  applyRoutes(scope);
}

/** Keeps what OpenAPI and the permission tests ask of each route. */
function rememberRoutes(scope: Server, routes: RouteList): void {
  scope.addHook('onRoute', (route) => {
    for (const method of [route.method].flat()) {
      if (method === 'HEAD') continue;
      const { summary, params, querystring, body, response, hide } = route.schema ?? {};
      // WebSockets are hidden by their plugin but belong here.
      if (hide && !/^\/(v1|apis)\//.test(route.url)) continue;
      routes.push({
        method,
        url: route.url,
        permission: route.config?.permission ?? 'admin',
        ...(route.config?.kubernetes ? { kubernetes: true } : {}),
        summary,
        params: params as TSchema | undefined,
        querystring: querystring as TSchema | undefined,
        body: body as TSchema | undefined,
        response: response as Record<string, TSchema> | undefined,
      });
    }
  });
}
