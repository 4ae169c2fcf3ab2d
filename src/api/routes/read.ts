import type { FastifyInstance } from 'fastify';
import { ForemeshError, parseDurationMs } from '../../base/index.ts';
import { answers } from '../answers.ts';
import { toOutside } from '../outside.ts';
import { ExplainQuery, ForecastParams, ForecastQuery, NoQuery, ReplayParams, ScoreboardQuery } from '../schemas.ts';
import type { ApiDeps } from '../server.ts';

/** Without a finished cycle for this long, the engine is not well, ms. */
const SILENCE_MS_MAX = 600_000;

/** What the engine knows and does: nothing here changes anything. */
export function addReadRoutes(server: FastifyInstance, { engine, clock, signers }: ApiDeps): void {
  server.get('/healthz', { schema: { summary: 'Whether the process is well; needs no token', security: [], querystring: NoQuery, response: answers('Health') } }, (_request, reply) => {
    const { status, metrics, startedAt } = engine.view();
    const ok = clock.now() - (metrics.lastCycleAt ?? startedAt) < SILENCE_MS_MAX;
    return reply.status(ok ? 200 : 503).send({ ok, state: status.state });
  });

  server.get('/v1/status', { schema: { summary: 'State, live commit, nodes, tunnels, last decision', querystring: NoQuery, response: answers('Status') } }, () => {
    const { plan: _plan, report: _report, forecasts: _forecasts, serving: _serving, pathForecast: _pathForecast, ...status } = engine.view();
    return toOutside({ schema: 'foremesh/status/v1', ...status, anomalies: status.anomalies.filter(({ endedAt }) => endedAt === null) });
  });

  server.get('/v1/plan', { schema: { summary: 'The live plan and why it is so', querystring: NoQuery, response: answers('Plan') } }, () => {
    const { plan, report, live } = engine.view();
    if (!plan) throw new ForemeshError('API_NOT_FOUND', { what: 'there is no plan yet', fix: 'wait for the first cycle' });
    return toOutside({ schema: 'foremesh/plan-view/v1', commit: live?.commit ?? null, generation: live?.generation ?? null, plan, report });
  });

  server.get('/v1/forecasts', { schema: { summary: 'Pairs with their predicted bandwidth, most important first', querystring: NoQuery, response: answers('Forecasts') } }, () => {
    const { forecasts, forecastModel, serving, training } = engine.view();
    return toOutside({ schema: 'foremesh/forecasts/v1', model: forecastModel, serving, training, forecasts });
  });

  server.get('/v1/forecasts/paths', { schema: { summary: 'Paths with the probability that they break each class’s SLA within the horizon, worst first', querystring: NoQuery, response: answers('PathForecasts') } }, () => {
    const { pathForecast } = engine.view();
    if (!pathForecast) throw new ForemeshError('API_NOT_FOUND', { what: 'there is no forecast of paths yet', fix: 'wait for the cycle after the next; the past of paths is being read' });
    return toOutside({ schema: 'foremesh/path-forecasts/v1', ...pathForecast });
  });

  server.get<{ Querystring: { since?: string } }>('/v1/forecasts/scoreboard', { schema: { summary: 'How forecasts turned out, beside rules of thumb', querystring: ScoreboardQuery, response: answers('Scoreboard') } }, ({ query }) => {
    const sinceMs = parseDurationMs(query.since ?? '7d');
    if (sinceMs === null) throw new ForemeshError('API_REQUEST_INVALID', { what: 'since is not a duration', fix: 'write it as 7d or 12h' });
    return toOutside({ schema: 'foremesh/scoreboard-view/v1', ...engine.scoreboard(clock.now() - sinceMs) });
  });

  server.get<{ Params: { pair: string }; Querystring: { class?: string } }>(
    '/v1/forecasts/:pair',
    { schema: { summary: 'What the forecast of one pair rests on, by traffic class, in figures and words', params: ForecastParams, querystring: ForecastQuery, response: answers('ForecastExplanation') } },
    async ({ params, query }) => toOutside({ schema: 'foremesh/forecast-explanation/v1', pair: params.pair, explanations: await engine.explainForecast(params.pair, query.class ?? null) }),
  );

  server.get('/v1/forecasts/ledger', { schema: { summary: 'What became of changes that forecasts asked for, newest first', querystring: NoQuery, response: answers('Ledger') } }, () =>
    toOutside({ schema: 'foremesh/ledger/v1', ...engine.ledger() }),
  );

  server.get('/v1/anomalies', { schema: { summary: 'Traffic that is not what was to be expected, what goes on first', querystring: NoQuery, response: answers('Anomalies') } }, () =>
    toOutside({ schema: 'foremesh/anomalies/v1', anomalies: engine.view().anomalies }),
  );

  server.get('/v1/signers', { schema: { summary: 'The engine’s signing key, as git’s allowed_signers file', querystring: NoQuery, response: answers('Signers') } }, async () => ({
    schema: 'foremesh/signers/v1',
    signers: await signers(),
  }));

  server.get<{ Querystring: { tunnel?: string; pair?: string } }>(
    '/v1/explain',
    { schema: { summary: 'Why a tunnel or the routes of a pair are as they are', querystring: ExplainQuery, response: answers('Explanation') } },
    ({ query }) => {
      if ((query.tunnel === undefined) === (query.pair === undefined)) {
        throw new ForemeshError('API_REQUEST_INVALID', { what: 'give either tunnel or pair', fix: '/v1/explain?pair=berlin>paris' });
      }
      const target = query.tunnel === undefined ? ({ kind: 'pair', pair: query.pair! } as const) : ({ kind: 'tunnel', tunnel: query.tunnel } as const);
      return toOutside({ schema: 'foremesh/explanation/v1', ...engine.explain(target) });
    },
  );

  server.get<{ Params: { commit: string } }>(
    '/v1/replay/:commit',
    { schema: { summary: 'Computes a past decision again and compares the bytes', params: ReplayParams, querystring: NoQuery, response: answers('Replay') } },
    async ({ params }) => toOutside({ schema: 'foremesh/replay/v1', ...(await engine.replay(params.commit)) }),
  );
}
