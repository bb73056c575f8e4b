/** Every failure leaves as RFC 9457 problem+json, made from the one error catalogue. */
import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { catalogue, CroftError, isCroftError, type ErrorCode } from '../../../appliance/errors.ts';
import type { Server } from '../context.ts';

export const problemType = 'application/problem+json; charset=utf-8';

/** Fastify's own failures, told apart by status. */
const codeOfStatus: Record<number, ErrorCode> = {
  400: 'invalid-input',
  404: 'not-found',
  408: 'invalid-input',
  413: 'too-large',
  414: 'too-large',
  415: 'unsupported-media-type',
  429: 'too-many-requests',
  503: 'unavailable',
};

/** Anything thrown as an error of the catalogue; what isn't known is `internal` and says nothing of its inside. */
export function asCroftError(error: unknown, request: FastifyRequest): CroftError {
  if (isCroftError(error)) return error;
  const status = (error as Partial<FastifyError>).statusCode;
  const code = status === undefined ? undefined : codeOfStatus[status];
  if (code !== undefined && error instanceof Error)
    return new CroftError(code, `${error.message}.`.replace(/\.\.$/, '.'), { cause: error });
  return new CroftError('internal', `Something went wrong inside Croft; the log has it under the trace id ${request.id}.`, {
    cause: error,
  });
}

/** The body of a problem; `instance` is the path without its query, which may hold secrets. */
export function problemOf(error: CroftError, request: FastifyRequest) {
  const { title } = catalogue[error.code];
  return {
    type: `https://croft.io/errors#${error.code}`,
    title,
    status: error.status,
    detail: error.message,
    instance: request.url.split('?', 1)[0] ?? '/',
    code: error.code,
    traceId: String(request.id),
    errors: error.errors,
    fix: error.fix,
  };
}

const retryAfter: Partial<Record<ErrorCode, string>> = { unavailable: '2', 'too-many-requests': '60' };

export function sendProblem(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = asCroftError(thrown, request);
  if (error.status >= 500) request.log.error({ err: error, cause: error.cause, traceId: request.id }, STATUS_CODES[error.status]);
  request.failure = error.code;
  const after = error.retryAfter ?? retryAfter[error.code];
  if (after !== undefined && !reply.hasHeader('retry-after')) reply.header('retry-after', String(after));
  if (error.code === 'unauthenticated') reply.header('www-authenticate', 'Bearer realm="croft"');
  return reply.code(error.status).header('content-type', problemType).send(problemOf(error, request));
}

export function useProblems(app: Server): void {
  app.decorateRequest('failure');
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply));
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      new CroftError(
        'not-found',
        `There is no ${request.method} ${request.url.split('?', 1)[0]}; /v1/openapi.json lists all routes.`,
      ),
      request,
      reply,
    ),
  );
}
