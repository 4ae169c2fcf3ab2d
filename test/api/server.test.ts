import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { buildServer } from '../../src/api/index.ts';
import { createLog } from '../../src/base/index.ts';
import { signReview } from '../../src/forge/index.ts';
import { classId, nodeId, siteId, type PathQualityForecast, type TunnelId } from '../../src/model/index.ts';
import { engineReport } from '../../src/cli/engine-report.ts';
import { renderForecastExplanation, type OutsideExplanation } from '../../src/cli/forecast-explanation.ts';
import type { Engine } from '../../src/reconcile/index.ts';
import { createTestMesh, path, REVIEWER, START_AT, type TestMesh } from '../reconcile/support.ts';
import { join } from 'node:path';

const TOKEN = 'a-token-of-at-least-thirty-two-characters';
const PATH = 'berlin-gw1/cable~paris-gw1/fibre';

let mesh: TestMesh;
let engine: Engine;
let server: FastifyInstance;
const cycling = new AbortController();
let running: Promise<void>;

beforeAll(async () => {
  mesh = await createTestMesh((file, text) => (file === 'mesh-config/mesh.yaml' ? text.replace('tunnelsMax: 4', 'tunnelsMax: 0') : text));
  const measured = (uplink: string, latencyMs: number) => Array.from({ length: 16 }, (_, slot) => ({ kind: 'path' as const, sampledAt: START_AT - slot * 300_000, windowMs: 300_000, node: nodeId('paris-gw1'), peer: nodeId('berlin-gw1'), tunnel: 't-0000000a' as TunnelId, path: path(`former-gw1/${uplink}`, 'paris-gw1/fibre'), state: 'up' as const, latencyMs, jitterMs: 1, lossForwardRatio: 0, lossReverseRatio: 0 }));
  await mesh.store.append(nodeId('paris-gw1'), 1, [...measured('dsl', 20), ...measured('fibre', 400)]);
  engine = await mesh.engine();
  server = await buildServer({
    engine,
    clock: mesh.clock,
    log: createLog('test', 'silent'),
    token: TOKEN,
    addReview: (id, review) => mesh.forge.addReview(id, review),
    signers: () => Promise.resolve('engine@foremesh ssh-ed25519 AAAA\n'),
    createJoinToken: (node, ttlMs) => Promise.resolve(`${node}.fingerprint.${ttlMs}`),
    askToRenew: (node) => node === 'berlin-gw1',
    revoke: (node) => Promise.resolve(node === 'berlin-gw1' ? [{ node, keySha256: 'ab'.repeat(32), revokedAt: 0 }] : []),
    revocations: () => [{ node: nodeId('berlin-gw1'), keySha256: 'ab'.repeat(32), revokedAt: 0, why: 'stolen', by: 'ada' }],
  });
  running = engine.run(cycling.signal);
  await engine.cycle();
});

afterAll(async () => {
  cycling.abort();
  await running;
  await server.close();
  await mesh.close();
});

async function call(method: 'GET' | 'POST' | 'DELETE', url: string, body?: unknown, headers: Record<string, string> = { authorization: `Bearer ${TOKEN}` }): Promise<{ status: number; body: Record<string, unknown>; text: string }> {
  const options: InjectOptions = { method, url, headers, ...(body === undefined ? {} : { payload: body as object }) };
  const answer = await server.inject(options);
  const isJson = (answer.headers['content-type'] ?? '').toString().includes('json');
  return { status: answer.statusCode, body: isJson ? answer.json<Record<string, unknown>>() : {}, text: answer.body };
}

const override = (part: object = {}): object => ({ what: { kind: 'pin-path', pair: 'berlin>paris', path: PATH }, for: '10m', why: 'works on the fibre', by: 'alice', ...part });

describe('who may ask', () => {
  it.each([
    ['no token', {}],
    ['a wrong token', { authorization: `Bearer ${TOKEN}x` }],
    ['another scheme', { authorization: `Basic ${TOKEN}` }],
    ['alg=none in place of a token', { authorization: 'Bearer eyJhbGciOiJub25lIn0.e30.' }],
    ['an empty token', { authorization: 'Bearer ' }],
    ['a huge header', { authorization: `Bearer ${'a'.repeat(4000)}` }],
  ] satisfies [string, Record<string, string>][])('is refused with %s', async (_what, headers) => {
    for (const url of ['/v1/status', '/metrics', '/v1/nothing']) {
      const answer = await call('GET', url, undefined, headers);
      expect(answer).toMatchObject({ status: 401, body: { code: 'API_UNAUTHORIZED' } });
    }
  });

  it('may see health and the document without one, and nothing that is secret in either', async () => {
    expect(await call('GET', '/healthz', undefined, {})).toMatchObject({ status: 200, body: { ok: true } });
    const document = await call('GET', '/openapi.json', undefined, {});
    expect(document.status).toBe(200);
    expect(document.text).not.toContain(TOKEN);
  });
});

describe('bad input', () => {
  it.each([
    ['JSON nested 100,000 deep', 'POST', '/v1/overrides', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, 400],
    ['an unclosed document', 'POST', '/v1/overrides', '['.repeat(100_000), 400],
    ['an array of 100,000', 'POST', '/v1/overrides', `[${Array.from({ length: 100_000 }, () => '0').join(',')}]`, 413],
    ['a body of another type', 'POST', '/v1/overrides', 'until=never', 415],
    ['a prototype', 'POST', '/v1/overrides', '{"__proto__": {"x": 1}}', 400],
  ] as const)('%s is refused at once', async (_what, method, url, payload, status) => {
    const type = status === 415 ? 'application/x-www-form-urlencoded' : 'application/json';
    const before = process.cpuUsage();
    const answer = await server.inject({ method, url, headers: { authorization: `Bearer ${TOKEN}`, 'content-type': type }, payload });
    const usedMs = process.cpuUsage(before).user / 1000;
    expect(answer.statusCode).toBe(status);
    expect(answer.json()).toMatchObject({ code: 'API_REQUEST_INVALID', where: null, fix: expect.any(String) as string });
    expect(usedMs).toBeLessThan(200);
  });

  it.each([
    ['GET', '/v1/proposals?limit=-1'],
    ['GET', '/v1/proposals?state=everything'],
    ['GET', '/v1/proposals/..%2F..%2Fx'],
    ['GET', '/v1/proposals/0'],
    ['GET', '/v1/proposals/1e3'],
    ['GET', '/v1/replay/HEAD~1'],
    ['GET', '/v1/replay/--output=x'],
    ['GET', '/v1/explain'],
    ['GET', '/v1/forecasts/berlin'],
    ['GET', '/v1/forecasts/%3Cimg%20onerror%3Dalert(1)%3E'],
    ['GET', '/v1/forecasts/berlin%3Eparis?class=..%2Fx'],
    ['GET', '/v1/explain?tunnel=t-1&pair=a%3Eb'],
    ['GET', '/v1/explain?tunnel=%3Cimg%20onerror%3Dalert(1)%3E'],
    ['DELETE', '/v1/overrides/..%2Fx'],
    ['DELETE', '/v1/vetoes/%00'],
    ['GET', '/v1/status?verbose=1'],
  ] as const)('%s %s is refused with 400 and changes nothing', async (method, url) => {
    expect(await call(method, url)).toMatchObject({ status: 400, body: { code: 'API_REQUEST_INVALID' } });
  });

  it.each([
    ['no end', { for: undefined }],
    ['two ends', { until: '2026-01-05T10:00:00Z' }],
    ['a number as its end', { for: undefined, until: START_AT + 1000 }],
    ['an end in no form', { for: undefined, until: 'tomorrow' }],
    ['a bare number as duration', { for: '10' }],
    ['an end beyond a day', { for: '25h' }],
    ['a ttl that nobody knows', { ttl: 1e9 }],
    ['no reason', { why: '' }],
    ['an unknown kind', { what: { kind: 'open-all' } }],
    ['a number as text', { by: 5 }],
    ['a path out of a folder', { what: { kind: 'avoid-path', path: '../../etc/passwd' } }],
    ['a node that is not there', { what: { kind: 'drain-node', node: 'rome-gw1' } }],
    ['a class that the pair does not have', { what: { kind: 'pin-path', pair: 'berlin>paris', path: PATH, classId: 'gossip' } }],
    ['a class of a drain', { what: { kind: 'drain-node', node: 'berlin-gw1', classId: 'voice' } }],
    ['markup as a node', { what: { kind: 'drain-node', node: '<img onerror=alert(1)>' } }],
  ])('an override with %s is refused', async (_what, part) => {
    expect(await call('POST', '/v1/overrides', override(part))).toMatchObject({ status: 400, body: { code: 'API_REQUEST_INVALID' } });
    expect((await call('GET', '/v1/overrides')).body['overrides']).toEqual([]);
  });

  it('a route or an object that is not there is 404', async () => {
    expect(await call('GET', '/v1/nothing')).toMatchObject({ status: 404, body: { code: 'API_NOT_FOUND' } });
    expect(await call('GET', '/v1/proposals/999')).toMatchObject({ status: 404, body: { code: 'FORGE_CHANGE_UNKNOWN' } });
    expect(await call('GET', '/v1/explain?tunnel=t-00000000')).toMatchObject({ status: 404 });
    expect(await call('DELETE', '/v1/overrides/o-00000000')).toMatchObject({ status: 404 });
    expect(await call('GET', `/v1/replay/${'0'.repeat(40)}`)).toMatchObject({ status: 404 });
    expect(await call('GET', '/v1/forecasts/berlin%3Erome')).toMatchObject({ status: 404, body: { fix: 'foremesh forecast show lists the pairs' } });
    expect(await call('GET', '/v1/forecasts/berlin%3Eparis?class=video')).toMatchObject({ status: 404 });
  });
});

describe('what the engine shows', () => {
  it('status names live commit, nodes and tunnels, with instants as ISO 8601', async () => {
    const { status, body } = await call('GET', '/v1/status');
    expect(status).toBe(200);
    expect(body).toMatchObject({ schema: 'foremesh/status/v1', status: { state: 'ready', since: '2026-01-05T09:00:00.000Z' }, live: { generation: 1 }, mesh: 'example' });
    expect(body['nodes']).toHaveLength(6);
    expect((body['tunnels'] as unknown[]).length).toBeGreaterThan(3);
  });

  it('forecasts are a list of pairs by priority and predicted bandwidth', async () => {
    mesh.demand.set('berlin>paris#voice', 3);
    mesh.demand.set('berlin>paris#bulk', 9);
    await call('POST', '/v1/cycle');
    const { body } = await call('GET', '/v1/forecasts');
    const forecasts = body['forecasts'] as { rank: number; pair: string; classId: string; p95PeakMbps: number; priority: number; peakAt: string }[];
    expect(forecasts[0]).toMatchObject({ rank: 1, pair: 'berlin>paris', classId: 'voice', priority: 0, p95PeakMbps: 3 });
    expect(forecasts.map(({ rank }) => rank)).toEqual(forecasts.map((_, index) => index + 1));
    expect(forecasts.find(({ priority }) => priority === 2)).toMatchObject({ classId: 'bulk', p95PeakMbps: 9 });
    expect(forecasts[0]!.peakAt).toMatch(/^2026-01-05T09:/);
    mesh.demand.clear();
    await call('POST', '/v1/cycle');
  });

  it('the forecast of a pair is explained by class, its summands are p50, and only the class asked for', async () => {
    mesh.demand.set('berlin>paris#voice', 3);
    await call('POST', '/v1/cycle');
    const { status, body } = await call('GET', '/v1/forecasts/berlin%3Eparis?class=voice');
    expect(status).toBe(200);
    const explanations = body['explanations'] as { classId: string; slots: { startAt: string; p50: number }[]; parts: { name: string; mbps: number[] }[]; words: string[] }[];
    expect(explanations.map(({ classId: name }) => name)).toEqual(['voice']);
    const [voice] = explanations;
    expect(voice!.slots[0]!.startAt).toMatch(/^2026-01-05T09:/);
    voice!.slots.forEach(({ p50 }, slot) => expect(voice!.parts.reduce((sum, { mbps }) => sum + mbps[slot]!, 0)).toBeCloseTo(p50, 3));
    expect(voice!.words[0]).toContain('Expected ');
    const shown = renderForecastExplanation(voice as unknown as OutsideExplanation, true);
    for (const text of ['berlin>paris voice', 'up to P95', 'from (UTC)', voice!.words[0]!]) expect(shown).toContain(text);
    expect(shown).not.toMatch(/NaN|undefined|Invalid/);
    expect(((await call('GET', '/v1/forecasts/berlin%3Eparis')).body['explanations'] as unknown[]).length).toBe(3);
    mesh.demand.clear();
    await call('POST', '/v1/cycle');
  });

  it('a report of the engine’s forecasts is made of what these routes answer', async () => {
    mesh.demand.set('berlin>paris#voice', 3);
    await call('POST', '/v1/cycle');
    const page = await engineReport({ request: (method, path) => call(method as 'GET', path) }, (await call('GET', '/v1/forecasts')).body as unknown as Parameters<typeof engineReport>[1]);
    expect(page).toContain('<h1>Forecasts of mesh example</h1>');
    expect(page).toContain('<figcaption>berlin&gt;paris voice</figcaption>');
    expect(page).not.toMatch(/NaN|undefined|Invalid|\[object/);
    mesh.demand.clear();
    await call('POST', '/v1/cycle');
  });

  it('plan, explanation and replay belong to the same commit', async () => {
    const { body: plan } = await call('GET', '/v1/plan');
    const tunnel = (plan['plan'] as { tunnels: { id: string; path: string }[] }).tunnels[0]!;
    const explained = await call('GET', `/v1/explain?tunnel=${tunnel.id}`);
    expect(explained.body).toMatchObject({ target: `${tunnel.id} ${tunnel.path}` });
    expect((await call('GET', '/v1/explain?pair=berlin%3Eparis')).body['why']).toBe('connection "headquarters" is always');
    const replay = await call('GET', `/v1/replay/${plan['commit'] as string}`);
    expect(replay.body).toMatchObject({ same: true, commit: plan['commit'] });
  });

  it('metrics are in Prometheus’ format, with what an operator alarms on', async () => {
    const { status, text } = await call('GET', '/metrics');
    expect(status).toBe(200);
    for (const line of ['foremesh_generation 1', 'foremesh_leak_packets 0', 'foremesh_state{state="ready"} 1', 'foremesh_cycle_seconds_count', 'foremesh_decisions_total{kind="none"}', 'foremesh_tunnels{state="unknown"}']) {
      expect(text).toContain(line);
    }
    expect(text).toMatch(/foremesh_forecast_p95_mbps\{pair="berlin>paris",class="voice"\} \d/);
  });

  it('paths stand with the probability that they break each class’s SLA, worst first', async () => {
    await engine.cycle();
    await engine.trained();
    await engine.cycle();
    const { body } = await call('GET', '/v1/forecasts/paths');
    expect(body).toMatchObject({ schema: 'foremesh/path-forecasts/v1', slotMs: 300_000, horizonMs: 3_600_000, model: 'climatology', skill: 0 });
    const paths = body['paths'] as PathQualityForecast['paths'];
    expect(paths.map((each) => each.path)).toEqual([path('former-gw1/fibre', 'paris-gw1/fibre'), path('former-gw1/dsl', 'paris-gw1/fibre')]);
    expect(paths[0]).toMatchObject({ basis: 'pool', latencyMs: { p50: expect.any(Number) } });
    const { text } = await call('GET', '/metrics');
    expect(text).toMatch(/foremesh_path_sla_violation_probability\{path="former-gw1\/fibre~paris-gw1\/fibre",class="voice"\} 0\.\d/);
    expect(text).toContain('foremesh_path_forecast_skill 0\n');
  });

  it('what shaping dropped of a demand stands beside what was offered', async () => {
    const voice = { from: siteId('berlin'), to: siteId('paris'), classId: classId('voice') };
    await mesh.store.append(nodeId('berlin-gw1'), 1, [{ kind: 'traffic', sampledAt: mesh.clock.now(), windowMs: 3_600_000, node: nodeId('berlin-gw1'), ...voice, offeredBytes: 450_000_000, offeredPackets: 9, droppedBytes: 112_500_000 }]);
    await engine.cycle();
    const figures = { pair: 'berlin>paris', classId: 'voice', offeredMbps: 1, droppedMbps: 0.25 };
    expect((await call('GET', '/v1/status')).body['shortfalls']).toEqual([figures]);
    expect((await call('GET', '/v1/forecasts')).body['forecasts']).toContainEqual(expect.objectContaining({ pair: 'berlin>paris', classId: 'voice', observedMbps: 1, droppedMbps: 0.25 }));
    expect((await call('GET', '/metrics')).text).toContain('foremesh_demand_dropped_mbps{pair="berlin>paris",class="voice"} 0.25\n');
  });

  it('connections of TCP ports and packets of UDP ports are told apart', async () => {
    const [node, to, bulk] = [nodeId('berlin-gw1'), siteId('paris'), classId('bulk')];
    const counted = { kind: 'services' as const, sampledAt: mesh.clock.now(), windowMs: 300_000, node, from: siteId('berlin'), to, classId: bulk };
    await mesh.store.append(node, 2, [{ ...counted, service: 'tcp/443', connections: 70, packets: null }, { ...counted, service: 'udp/53', connections: null, packets: 900 }, { ...counted, service: 'tcp/22', connections: 0, packets: null }]);
    await engine.cycle();
    const services = (await call('GET', '/v1/status')).body['nodes'] as { node: string; services: unknown[] }[];
    expect(services.find((one) => one.node === node)!.services).toEqual([{ to, classId: bulk, service: 'tcp/443', connections: 70, packets: null }, { to, classId: bulk, service: 'udp/53', connections: null, packets: 900 }]);
    const told = (await call('GET', '/metrics')).text.split('\n').filter((line) => line.startsWith('foremesh_node_service_'));
    expect(told).toEqual(['foremesh_node_service_connections{node="berlin-gw1",to="paris",class="bulk",service="tcp/443"} 70', 'foremesh_node_service_packets{node="berlin-gw1",to="paris",class="bulk",service="udp/53"} 900']);
  });

  it('a join token is given for a node of the intent only', async () => {
    expect(await call('POST', '/v1/join-tokens', { node: 'berlin-gw1' })).toMatchObject({ status: 201, body: { token: 'berlin-gw1.fingerprint.900000', expiresAt: '2026-01-05T09:15:00.000Z' } });
    expect(await call('POST', '/v1/nodes/berlin-gw1/renewal')).toMatchObject({ status: 202, body: { node: 'berlin-gw1' } });
    expect(await call('POST', '/v1/nodes/paris-gw1/renewal')).toMatchObject({ status: 503, body: { code: 'CHANNEL_CLOSED' } });
    expect(await call('POST', '/v1/nodes/rome-gw1/renewal')).toMatchObject({ status: 404 });
    const revoking = { why: 'stolen', by: 'ada' };
    expect(await call('POST', '/v1/nodes/berlin-gw1/revocation', revoking)).toMatchObject({ status: 200, body: { node: 'berlin-gw1', keys: [{ keySha256: 'ab'.repeat(32) }] } });
    expect(await call('POST', '/v1/nodes/rome-gw1/revocation', revoking)).toMatchObject({ status: 404 });
    expect(await call('POST', '/v1/nodes/berlin-gw1/revocation', { why: 'stolen' })).toMatchObject({ status: 400 });
    expect(await call('GET', '/v1/revocations')).toMatchObject({ status: 200, body: { revocations: [{ node: 'berlin-gw1', by: 'ada', revokedAt: '1970-01-01T00:00:00.000Z' }] } });
    expect(await call('POST', '/v1/join-tokens', { node: 'rome-gw1' })).toMatchObject({ status: 404 });
    expect(await call('POST', '/v1/join-tokens', { node: 'berlin-gw1', for: '1h' })).toMatchObject({ status: 400 });
  });
});

describe('the operator’s hand', () => {
  it('an override becomes a commit before it is answered, and ends when it is cleared', async () => {
    const set = await call('POST', '/v1/overrides', override());
    expect(set).toMatchObject({ status: 200, body: { generation: 2, override: { until: '2026-01-05T09:10:00.000Z', by: 'alice' } } });
    const id = (set.body['override'] as { id: string }).id;
    expect(await call('POST', '/v1/overrides', override())).toMatchObject({ status: 200, body: { generation: 2, override: { id } } });
    expect((await call('GET', '/v1/overrides')).body['overrides']).toMatchObject([{ id }]);
    expect(await call('DELETE', `/v1/overrides/${id}`)).toMatchObject({ status: 200, body: { generation: 3 } });
    expect((await call('GET', '/v1/overrides')).body['overrides']).toEqual([]);
  });

  it('a proposal is applied by a signed review of its head, and by nothing less', async () => {
    mesh.demand.set('hamburg>paris#business', 10);
    const outcome = await call('POST', '/v1/cycle');
    expect(outcome.body).toMatchObject({ kind: 'proposal' });
    const id = outcome.body['proposal'] as number;
    const { body: proposal } = await call('GET', `/v1/proposals/${id}`);
    expect(proposal).toMatchObject({ state: 'open', verdict: { decision: 'needsApproval' } });
    expect(proposal['diff']).toContain('plan/mesh.yaml');

    const review = { by: REVIEWER, verdict: 'approve' as const, sha: proposal['headSha'] as string, at: mesh.clock.now() };
    const signed = await signReview(id, review, join(mesh.dir, 'alice', 'signing_ed25519'));
    const url = `/v1/proposals/${id}/reviews`;
    expect(await call('POST', url, { ...signed, verdict: 'block' })).toMatchObject({ status: 403, body: { code: 'FORGE_REVIEW_INVALID' } });
    expect(await call('POST', url, { ...signed, by: 'mallory' })).toMatchObject({ status: 403 });
    expect(await call('POST', url, { ...signed, sha: '0'.repeat(40) })).toMatchObject({ status: 403 });
    expect(await call('POST', url, { ...signed, note: 'x' })).toMatchObject({ status: 400 });
    const done = await call('POST', url, signed);
    expect(done).toMatchObject({ status: 200, body: { outcome: { kind: 'commit' } } });
    expect((await call('GET', `/v1/proposals/${id}`)).body).toMatchObject({ state: 'merged', ended: 'applied' });
    expect((await call('GET', '/v1/proposals')).body['proposals']).toEqual([]);
  });
});

describe('the OpenAPI document', () => {
  it('is 3.1, names every schema and route, and its answers validate', async () => {
    const { body: document } = await call('GET', '/openapi.json');
    const paths = document['paths'] as Record<string, Record<string, { responses: Record<string, { content?: Record<string, { schema: object }> }> }>>;
    expect(document['openapi']).toBe('3.1.0');
    expect(Object.keys(paths).sort()).toEqual([
      '/healthz', '/metrics', '/v1/anomalies', '/v1/cycle', '/v1/events', '/v1/explain', '/v1/forecasts', '/v1/forecasts/ledger', '/v1/forecasts/models', '/v1/forecasts/models/active', '/v1/forecasts/models/{version}/file', '/v1/forecasts/paths', '/v1/forecasts/scoreboard', '/v1/forecasts/training', '/v1/forecasts/{pair}', '/v1/join-tokens', '/v1/nodes/{node}/renewal', '/v1/nodes/{node}/revocation', '/v1/overrides', '/v1/overrides/{id}', '/v1/plan', '/v1/proposals',
      '/v1/proposals/{id}', '/v1/proposals/{id}/reviews', '/v1/replay/{commit}', '/v1/revocations', '/v1/signers', '/v1/status', '/v1/vetoes', '/v1/vetoes/{fingerprint}',
    ]);
    const components = (document['components'] as { schemas: Record<string, object> }).schemas;
    expect(Object.keys(components).some((name) => name.startsWith('def-'))).toBe(false);
    const ajv = new Ajv2020({ strict: false });
    ajv.addSchema({ $id: 'doc', components: { schemas: components } });
    for (const [name, url] of [['Status', '/v1/status'], ['Plan', '/v1/plan'], ['Forecasts', '/v1/forecasts'], ['Anomalies', '/v1/anomalies'], ['ForecastExplanation', '/v1/forecasts/berlin%3Eparis'], ['Scoreboard', '/v1/forecasts/scoreboard'], ['PathForecasts', '/v1/forecasts/paths'], ['Ledger', '/v1/forecasts/ledger'], ['Proposals', '/v1/proposals'], ['Overrides', '/v1/overrides'], ['Vetoes', '/v1/vetoes']] as const) {
      const text = JSON.stringify({ ...components[name], $id: `test-${name}` }).replaceAll('#/components/', 'doc#/components/');
      const isValid = ajv.compile(JSON.parse(text) as object);
      isValid((await call('GET', url)).body);
      expect(isValid.errors, url).toBeNull();
    }
  });
});
