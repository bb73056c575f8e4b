/** Signing in and out, who am I, and the one-time set-up link. */
import { Type } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import { parseListen } from '../../../appliance/config.ts';
import { user } from '../../../appliance/resources/croft-kinds.ts';
import { editStatus } from '../../../appliance/store/edit.ts';
import { createBackOff } from '../../auth/back-off.ts';
import { rememberDevice, takeDeviceTry } from '../../auth/devices.ts';
import { checkPassword } from '../../auth/passwords.ts';
import { endSession, sessionCookie, sessionOf, startSession } from '../../auth/sessions.ts';
import { useSetupLink } from '../../auth/setup-links.ts';
import { Name, strict } from '../../schemas/common.ts';
import { Password, SessionOut } from '../../schemas/objects.ts';
import type { AppContext, Server } from '../context.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';

const secretBody = { ...strict, secret: true } as const;

export function sessionRoutes(app: Server, { store, box, config, signInsPerMinute }: AppContext): void {
  const open = {
    permission: 'open',
    secret: true,
    transient: true,
    rateLimit: {
      max: signInsPerMinute,
      timeWindow: '1 minute',
      errorResponseBuilder: () =>
        new CroftError('too-many-requests', `More than ${signInsPerMinute} sign-ins within a minute; wait one.`),
    },
  } as const;
  const secure = !parseListen(config.listen).loopback;
  const backOff = createBackOff();

  /** Starts the session of someone who has just proved to be `name`. */
  async function signIn(name: string, request: FastifyRequest, reply: FastifyReply) {
    const found = await store.get(user, name);
    if (!found || found.spec.disabled) throw new CroftError('unauthenticated', 'User or password is wrong.');
    const { value, expiresAt } = startSession(box, name);
    await editStatus(store, user, { name }, (draft) => {
      draft.status = { ...draft.status, lastSignIn: new Date().toISOString() };
    });
    const device = rememberDevice(box, { user: name, header: request.headers.cookie, secure });
    reply.header('set-cookie', [sessionCookie(value, { secure }), device]).code(201);
    return { user: name, role: found.spec.role, via: 'session', expiresAt };
  }

  app.post('/v1/session', {
    config: open,
    schema: {
      summary: 'Sign in with user and password',
      body: Type.Object(
        { user: Type.String({ minLength: 1, maxLength: 253 }), password: Type.String({ minLength: 1, maxLength: 1024 }) },
        secretBody,
      ),
      response: { 201: SessionOut },
    },
    handler: async (request, reply) => {
      const { user: name, password } = request.body;
      const known = takeDeviceTry(box, name, request.headers.cookie);
      if (!known) backOff.begin(name);
      if (!(await checkPassword(store, name, password))) throw new CroftError('unauthenticated', 'User or password is wrong.');
      // With the right password from elsewhere the count of strangers stays: it isn't the owner who tried.
      if (!known) backOff.succeeded(name);
      return await signIn(name, request, reply);
    },
  });

  app.get('/v1/session', {
    config: { permission: 'viewer' },
    schema: { summary: 'Who am I', response: { 200: SessionOut } },
    handler: async ({ principal }) => {
      const { name, role, via, expiresAt } = principal ?? { name: '', role: 'viewer', via: 'session' };
      return { user: name, role, via, ...(expiresAt === undefined ? {} : { expiresAt }) };
    },
  });

  app.delete('/v1/session', {
    config: { permission: 'viewer', transient: true },
    schema: { summary: 'Sign out' },
    handler: async ({ headers }, reply) => {
      const value = headers.cookie && sessionOf(headers.cookie);
      if (value) endSession(box, value);
      return await reply.header('set-cookie', sessionCookie('', { secure })).code(204).send();
    },
  });

  app.post('/v1/setup', {
    config: open,
    schema: {
      summary: 'Use a one-time link: set a password and sign in',
      body: Type.Object(
        { token: Type.String({ minLength: 1, maxLength: 128 }), user: Type.Optional(Name), password: Password },
        secretBody,
      ),
      response: { 201: SessionOut },
    },
    handler: async (request, reply) => {
      const name = await useSetupLink(store, box, request.body);
      backOff.succeeded(name);
      return await signIn(name, request, reply);
    },
  });
}
