/** Hooks for routes that change something. Reading routes, which are asked far more often, don't pay for them. */
import type {
  onRequestAsyncHookHandler,
  onResponseAsyncHookHandler,
  onSendAsyncHookHandler,
  preHandlerAsyncHookHandler,
  preSerializationAsyncHookHandler,
} from 'fastify';
import type { Server } from '../context.ts';

const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS']);

type Hooks = {
  onRequest: onRequestAsyncHookHandler;
  preHandler: preHandlerAsyncHookHandler;
  preSerialization: preSerializationAsyncHookHandler;
  onSend: onSendAsyncHookHandler;
  onResponse: onResponseAsyncHookHandler;
};

/**
 * Adds a hook to each route of `app` registered from now on that does more than read. Those of one name run in the order
 * they were added, after the ones of `addHook`; `onRequest` also before the routes' own (the rate limit).
 */
export function onChanges<N extends keyof Hooks>(app: Server, name: N, hook: Hooks[N]): void {
  app.addHook('onRoute', (route) => {
    if ([route.method].flat().every((method) => safeMethods.has(method))) return;
    const hooks = route as unknown as Record<string, unknown>;
    const own = hooks[name] === undefined ? [] : [hooks[name]].flat();
    hooks[name] = name === 'onRequest' ? [hook, ...own] : [...own, hook];
  });
}
