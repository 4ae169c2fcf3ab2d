import swagger from '@fastify/swagger';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import { ForemeshError, messageOf, type Clock, type ErrorCode, type Log } from '../base/index.ts';
import type { ReviewVerdict } from '../forge/index.ts';
import type { NodeId, Revocation } from '../model/index.ts';
import type { Engine } from '../reconcile/index.ts';
import { addMetrics } from './metrics.ts';
import { addEventRoutes } from './routes/events.ts';
import { addModelRoutes } from './routes/models.ts';
import { addNodeRoutes } from './routes/nodes.ts';
import { addOperatorRoutes } from './routes/operator.ts';
import { addProposalRoutes } from './routes/proposals.ts';
import { addReadRoutes } from './routes/read.ts';
import { SHARED_SCHEMAS } from './schemas.ts';
import { isAuthorized } from './token.ts';

export interface ApiDeps {
  engine: Engine;
  clock: Clock;
  log: Log;
  /** Bearer token that every call but /healthz and /openapi.json must carry. */
  token: string;
  /** Takes a person's signed word on a proposal; checks the signature. Absent where the forge has pages of its own for that. */
  addReview?: (id: number, review: { by: string; verdict: ReviewVerdict; sha: string; at: number; signature: string }) => Promise<unknown>;
  /** allowed_signers lines of the engine's signing key, so that anybody can check mesh/live with plain git. */
  signers: () => Promise<string>;
  createJoinToken: (node: NodeId, ttlMs: number) => Promise<string>;
  /** Takes a node's keys out of the mesh for ever; gives those that were not out before. */
  revoke: (node: NodeId, why: string, by: string) => Promise<Revocation[]>;
  revocations: () => (Revocation & { why: string; by: string })[];
  /** What the door to the agents counts since its start, by name; absent where there is none. */
  channelCounters?: () => Record<string, number>;
  /** False when the node is not connected. */
  askToRenew: (node: NodeId) => boolean;
}

/** A body larger than this is answered with 413. */
const BODY_BYTES_MAX = 200_000;
const PUBLIC_PATHS = new Set(['/healthz', '/openapi.json']);

/** Builds the HTTP server; it listens to nobody yet. Every answer that is no success has the body `{ code, what, where, fix }`. */
export async function buildServer(deps: ApiDeps): Promise<FastifyInstance> {
  const server = Fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    routerOptions: { maxParamLength: 300 },
    requestTimeout: 120_000,
    forceCloseConnections: true,
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: false, ownProperties: true, strict: true } },
  });
  // answers are plain JSON; their schemas describe them and never drop a member
  server.setSerializerCompiler(() => (value) => JSON.stringify(value));
  server.setErrorHandler((error: FastifyError | ForemeshError, request, reply) => {
    if (!(error instanceof ForemeshError) && (error.statusCode ?? 500) >= 500) deps.log.error({ error: messageOf(error), route: request.routeOptions.url }, 'request failed');
    return sendError(reply, error);
  });
  server.setNotFoundHandler((_request, reply) => sendError(reply, new ForemeshError('API_NOT_FOUND', { what: 'there is no such route', fix: 'see /openapi.json' })));
  server.addHook('onRequest', async (request) => {
    if (!PUBLIC_PATHS.has(request.url.split('?')[0] ?? '') && !isAuthorized(request.headers.authorization, deps.token)) {
      throw new ForemeshError('API_UNAUTHORIZED', { what: 'no token, or not the right one', fix: 'send Authorization: Bearer with the content of api-token in the state folder' });
    }
  });
  server.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff').header('cache-control', 'no-store');
  });

  for (const schema of SHARED_SCHEMAS) server.addSchema(schema);
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Foremesh engine', version: '1', description: 'Status, plan, forecasts, proposals, overrides and vetoes of one mesh.' },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, index) => (typeof json['$id'] === 'string' ? json['$id'] : `def-${index}`) },
  });
  server.get('/openapi.json', { schema: { hide: true } }, () => server.swagger());
  addMetrics(server, deps);
  addReadRoutes(server, deps);
  addProposalRoutes(server, deps);
  addOperatorRoutes(server, deps);
  addNodeRoutes(server, deps);
  addModelRoutes(server, deps);
  addEventRoutes(server, deps);
  await server.ready();
  return server;
}

function sendError(reply: FastifyReply, error: FastifyError | ForemeshError): FastifyReply {
  if (error instanceof ForemeshError) {
    if (error.code === 'API_UNAUTHORIZED') reply.header('www-authenticate', 'Bearer');
    return reply.status(error.httpStatus).send({ code: error.code, what: error.what, where: error.where, fix: error.fix });
  }
  const status = error.statusCode ?? 500;
  if (status >= 500) return reply.status(500).send(body('INTERNAL', 'the request failed inside the engine', 'see the log of the engine'));
  const code: ErrorCode = status === 404 ? 'API_NOT_FOUND' : 'API_REQUEST_INVALID';
  return reply.status(status).send(body(code, status === 413 ? `the body is larger than ${BODY_BYTES_MAX} bytes` : messageOf(error), 'see /openapi.json for what this route takes'));
}

function body(code: ErrorCode, what: string, fix: string): { code: string; what: string; where: null; fix: string } {
  return { code, what, where: null, fix };
}
