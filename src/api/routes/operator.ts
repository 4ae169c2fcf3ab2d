import type { FastifyInstance } from 'fastify';
import { ForemeshError, parseDurationMs } from '../../base/index.ts';
import { nodeId, type Override } from '../../model/index.ts';
import type { RequestResult } from '../../reconcile/index.ts';
import { answers } from '../answers.ts';
import { toOutside } from '../outside.ts';
import { NoQuery, OverrideParams, VetoParams, type JoinTokenRequest, type OverrideRequestBody } from '../schemas.ts';
import type { ApiDeps } from '../server.ts';

const JOIN_TOKEN_MS_MAX = 15 * 60_000;

/** The operator's hand: overrides, vetoes, join tokens, and a cycle at once. Each override or veto becomes a commit before it is answered. */
export function addOperatorRoutes(server: FastifyInstance, { engine, clock, createJoinToken }: ApiDeps): void {
  server.get('/v1/overrides', { schema: { summary: 'Overrides in force', querystring: NoQuery, response: answers('Overrides') } }, () =>
    toOutside({ schema: 'foremesh/overrides/v1', overrides: engine.view().overrides }),
  );

  server.post<{ Body: OverrideRequestBody }>(
    '/v1/overrides',
    { schema: { summary: 'Pins or avoids a path, or drains a node, for at most 24 h', querystring: NoQuery, body: { $ref: 'OverrideRequest#' }, response: answers('RequestAnswer') } },
    async ({ body }) => {
      await ensureIntent(engine);
      const until = endOf(body, clock.now());
      // names were checked by the schema and are checked against the intent by the engine
      return answer(await engine.setOverride({ what: body.what as Override['what'], until, why: body.why, by: body.by }));
    },
  );

  server.delete<{ Params: { id: string } }>(
    '/v1/overrides/:id',
    { schema: { summary: 'Ends an override', params: OverrideParams, querystring: NoQuery, response: answers('RequestAnswer') } },
    async ({ params }) => answer(await engine.clearOverride(params.id)),
  );

  server.get('/v1/vetoes', { schema: { summary: 'Changes that people took back and that stay away', querystring: NoQuery, response: answers('Vetoes') } }, () =>
    toOutside({ schema: 'foremesh/vetoes/v1', vetoes: engine.view().vetoes }),
  );

  server.delete<{ Params: { fingerprint: string } }>(
    '/v1/vetoes/:fingerprint',
    { schema: { summary: 'Lifts a veto', params: VetoParams, querystring: NoQuery, response: answers('RequestAnswer') } },
    async ({ params }) => answer(await engine.liftVeto(params.fingerprint)),
  );

  server.post<{ Body: JoinTokenRequest }>(
    '/v1/join-tokens',
    { schema: { summary: 'A token with which one node may enrol once', querystring: NoQuery, body: { $ref: 'JoinTokenRequest#' }, response: answers('JoinToken', 201) } },
    async ({ body }, reply) => {
      await ensureIntent(engine);
      if (!engine.view().nodes.some(({ node }) => node === body.node)) {
        throw new ForemeshError('API_NOT_FOUND', { what: `the intent has no node "${body.node}"`, fix: 'add it to mesh-config on main first' });
      }
      const ttlMs = body.for === undefined ? JOIN_TOKEN_MS_MAX : durationOf(body.for);
      if (ttlMs <= 0 || ttlMs > JOIN_TOKEN_MS_MAX) throw new ForemeshError('API_REQUEST_INVALID', { what: 'a join token lives for at most 15m', fix: 'give a shorter time in "for"' });
      const token = await createJoinToken(nodeId(body.node), ttlMs);
      return reply.status(201).send(toOutside({ schema: 'foremesh/join-token/v1', node: body.node, token, expiresAt: clock.now() + ttlMs }));
    },
  );

  server.post('/v1/forecasts/training', { schema: { summary: 'Begins to train the models again with what was observed since', querystring: NoQuery, response: answers('Training', 202) } }, async (_request, reply) => {
    await ensureIntent(engine);
    engine.retrain();
    return reply.status(202).send(toOutside({ schema: 'foremesh/training/v1', training: engine.view().training }));
  });

  server.post('/v1/cycle', { schema: { summary: 'Runs a cycle now and answers how it ended', querystring: NoQuery, response: answers('Cycle') } }, async () =>
    toOutside({ schema: 'foremesh/cycle/v1', ...(await engine.cycle()) }),
  );
}

/** Just started: the first cycle reads the intent that a request is checked against. */
async function ensureIntent(engine: ApiDeps['engine']): Promise<void> {
  if (engine.view().mainCommit === null) await engine.cycle();
}

function answer(result: RequestResult): unknown {
  if (!result.ok) throw new ForemeshError(result.code, { what: result.what, fix: result.fix });
  const { commit, generation, proposal, override } = result;
  return toOutside({ schema: 'foremesh/request/v1', commit, generation, proposal, override });
}

function endOf(body: OverrideRequestBody, now: number): number {
  if ((body.until === undefined) === (body.for === undefined)) {
    throw new ForemeshError('API_REQUEST_INVALID', { what: 'an override needs an end', fix: 'give either until (ISO 8601) or for (such as 10m)' });
  }
  if (body.for !== undefined) return now + durationOf(body.for);
  const until = /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(body.until!) ? Date.parse(body.until!) : Number.NaN;
  if (Number.isNaN(until)) throw new ForemeshError('API_REQUEST_INVALID', { what: 'until is not an instant', fix: 'write it as 2026-01-31T12:00:00Z' });
  return until;
}

function durationOf(text: string): number {
  const durationMs = parseDurationMs(text);
  if (durationMs === null) throw new ForemeshError('API_REQUEST_INVALID', { what: 'for is not a duration', fix: 'write it as 10m or 1h30m' });
  return durationMs;
}
