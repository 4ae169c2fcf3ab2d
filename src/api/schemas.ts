import { Type, type Static } from 'typebox';

/** What requests must look like and what answers look like: the checks and the OpenAPI document both come from here. */
const name = Type.String({ pattern: '^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$', description: 'name of an object of the intent' });
const instant = Type.String({ maxLength: 40, description: 'ISO 8601, UTC' });
const sha = Type.String({ pattern: '^[0-9a-f]{40}$', description: 'full commit id' });
const anything = Type.Unknown();

const closed = { additionalProperties: false } as const;
/** Answers may grow: a client must ignore what it does not know. */
const open = { additionalProperties: true } as const;

export const ErrorAnswer = Type.Object(
  {
    code: Type.String({ description: 'one of the codes in docs/errors.md' }),
    what: Type.String(),
    where: Type.Union([Type.Null(), Type.Object({ file: Type.String(), line: Type.Integer(), column: Type.Integer() })]),
    fix: Type.String(),
  },
  { $id: 'Error', ...open },
);

export const ProposalParams = Type.Object({ id: Type.String({ pattern: '^[1-9][0-9]{0,8}$', description: 'number of the proposal' }) }, closed);
export const ProposalQuery = Type.Object({ state: Type.Optional(Type.Union([Type.Literal('open'), Type.Literal('all')], { description: 'default open' })) }, closed);
export const OverrideParams = Type.Object({ id: Type.String({ pattern: '^o-[0-9a-f]{8}$' }) }, closed);
export const VetoParams = Type.Object({ fingerprint: Type.String({ pattern: '^[A-Za-z0-9:_-]{1,100}$' }) }, closed);
export const ReplayParams = Type.Object({ commit: Type.String({ pattern: '^[0-9a-f]{7,40}$' }) }, closed);
export const ExplainQuery = Type.Object(
  {
    tunnel: Type.Optional(Type.String({ minLength: 1, maxLength: 200, pattern: '^[a-z0-9/~-]+$', description: 'id (t-…) or path of a tunnel' })),
    pair: Type.Optional(Type.String({ minLength: 3, maxLength: 100, pattern: '^[a-z0-9-]+>[a-z0-9-]+$', description: 'berlin>paris' })),
  },
  closed,
);
export const ForecastParams = Type.Object({ pair: Type.String({ minLength: 3, maxLength: 100, pattern: '^[a-z0-9-]+>[a-z0-9-]+$', description: 'berlin>paris' }) }, closed);
export const ForecastQuery = Type.Object({ class: Type.Optional(Type.Unsafe<string>({ ...name, description: 'only this traffic class' })) }, closed);
export const NodeParams = Type.Object({ node: name }, closed);
export const ModelParams = Type.Object({ version: Type.String({ pattern: '^(?:active|[1-9][0-9]{0,8})$', description: 'number of the version, or active' }) }, closed);
export const ModelFileQuery = Type.Object({ form: Type.Optional(Type.Union([Type.Literal('foremesh'), Type.Literal('onnx')], { description: 'default foremesh, which can be imported again' })) }, closed);
export const ModelUseBody = Type.Object({ version: Type.Union([Type.Integer({ minimum: 1 }), Type.Literal('latest')]) }, { $id: 'ModelUse', ...closed });
export const ModelFileBody = Type.Object({ content: Type.String({ minLength: 1, pattern: '^[A-Za-z0-9+/]+={0,2}$', description: 'the file in base64' }) }, { $id: 'ModelFileRequest', ...closed });
export const NoQuery = Type.Object({}, closed);

export const ReviewBody = Type.Object(
  {
    verdict: Type.Union([Type.Literal('approve'), Type.Literal('block')]),
    sha,
    by: Type.String({ minLength: 1, maxLength: 128, description: 'principal in mesh-config/allowed_signers' }),
    at: Type.Integer({ minimum: 0, description: 'when it was signed, epoch ms; part of what is signed' }),
    signature: Type.String({ minLength: 1, maxLength: 16_384, description: 'armoured SSHSIG, namespace foremesh-review' }),
  },
  { $id: 'Review', ...closed },
);

const path = Type.String({ minLength: 3, maxLength: 200, pattern: '^[a-z0-9-]+/[a-z0-9-]+~[a-z0-9-]+/[a-z0-9-]+$', description: 'berlin-gw1/fibre~paris-gw1/dsl' });

export const OverrideBody = Type.Object(
  {
    what: Type.Union([
      Type.Object({ kind: Type.Literal('pin-path'), pair: Type.String({ maxLength: 100, pattern: '^[a-z0-9-]+>[a-z0-9-]+$' }), path, classId: Type.Optional(Type.Unsafe<string>({ ...name, description: 'only this traffic class of the pair' })) }, closed),
      Type.Object({ kind: Type.Literal('avoid-path'), path }, closed),
      Type.Object({ kind: Type.Literal('drain-node'), node: name }, closed),
    ]),
    until: Type.Optional(instant),
    for: Type.Optional(Type.String({ maxLength: 40, description: 'a duration such as 10m, instead of until; at most 24h' })),
    why: Type.String({ minLength: 1, maxLength: 500 }),
    by: Type.String({ minLength: 1, maxLength: 128 }),
  },
  { $id: 'OverrideRequest', ...closed },
);

export const JoinTokenBody = Type.Object({ node: name, for: Type.Optional(Type.String({ maxLength: 40, description: 'how long it can be used, default and at most 15m' })) }, { $id: 'JoinTokenRequest', ...closed });

export const RevocationBody = Type.Object(
  { why: Type.String({ minLength: 1, maxLength: 500 }), by: Type.String({ minLength: 1, maxLength: 128 }) },
  { $id: 'RevocationRequest', ...closed },
);

const Finding = Type.Object(
  { code: Type.String(), severity: Type.String(), what: Type.String(), where: anything, fix: Type.String() },
  { $id: 'Finding', ...open },
);

export const StatusAnswer = Type.Object(
  {
    schema: Type.Literal('foremesh/status/v1'),
    status: Type.Object({ state: Type.String({ description: 'ready, reconciling or stalled' }), reason: Type.String(), since: instant }),
    mesh: Type.Union([Type.String(), Type.Null()]),
    live: Type.Union([Type.Null(), Type.Object({ commit: sha, generation: Type.Integer(), decision: Type.String(), cause: Type.String() })]),
    intentCommit: Type.Union([Type.String(), Type.Null()]),
    mainCommit: Type.Union([Type.String(), Type.Null()]),
    policyDigest: Type.Union([Type.String(), Type.Null()]),
    findings: Type.Array(Type.Ref('Finding')),
    nodes: Type.Array(Type.Object({ node: Type.String(), connected: Type.Boolean(), generation: Type.Integer(), isBehind: Type.Boolean(), drift: Type.Array(Type.String()) }, open)),
    tunnels: Type.Array(Type.Object({ tunnel: Type.String(), path: Type.String(), state: Type.String() }, open)),
    shortfalls: Type.Array(Type.Object({ pair: Type.String(), classId: Type.String(), offeredMbps: Type.Number(), droppedMbps: Type.Number() }, { description: 'demands of which shaping dropped something in the last complete slot' })),
    lastDecision: Type.Union([Type.Null(), Type.Object({ kind: Type.String(), cause: Type.String(), at: instant, changes: Type.Array(Type.String()) }, open)]),
    planCertificate: Type.Union([Type.Null(), Type.Object({ wanted: Type.Number(), worth: Type.Number(), bound: Type.Number(), provenGapPct: Type.Number() }, open)], { description: 'what the newest plan carries of what is wanted, and what no plan whatever could exceed' }),
    anomalies: Type.Array(anything, { description: 'those that go on; /v1/anomalies has the past ones as well' }),
    trust: Type.Object({ quarantines: Type.Array(Type.Object({ node: Type.String(), why: Type.String() }, open)), frozenSites: Type.Array(Type.String()), bounded: Type.Array(anything), impossiblePaths: Type.Array(anything), doubts: Type.Array(anything), events: Type.Array(anything) }, { ...open, description: 'whose reports are believed' }),
    training: Type.Object({ state: Type.String(), step: Type.Integer(), steps: Type.Integer(), text: Type.String() }, open),
    forecastHealth: Type.Object({ confidence: Type.Number() }, open),
    forecastRegret: Type.Object({ scored: Type.Integer(), needed: Type.Integer(), notNeeded: Type.Integer(), harmful: Type.Integer() }, open),
    proposals: Type.Array(anything),
    overrides: Type.Array(anything),
    vetoes: Type.Array(anything),
    metrics: Type.Object({}, open),
  },
  { $id: 'Status', ...open },
);

export const PlanAnswer = Type.Object(
  { schema: Type.Literal('foremesh/plan-view/v1'), commit: anything, generation: anything, plan: anything, report: anything },
  { $id: 'Plan', ...open },
);

export const ForecastsAnswer = Type.Object(
  {
    schema: Type.Literal('foremesh/forecasts/v1'),
    model: Type.Union([Type.String(), Type.Null()]),
    training: anything,
    forecasts: Type.Array(
      Type.Object(
        {
          rank: Type.Integer({ minimum: 1 }),
          pair: Type.String(),
          classId: Type.String(),
          priority: Type.Integer({ description: '0 is served first' }),
          observedMbps: Type.Union([Type.Number(), Type.Null()], { description: 'offered in the last complete slot' }),
          droppedMbps: Type.Union([Type.Number(), Type.Null()], { description: 'what of it shaping dropped, about' }),
          p50PeakMbps: Type.Number(),
          p90PeakMbps: Type.Number(),
          p95PeakMbps: Type.Number(),
          peakAt: Type.Union([instant, Type.Null()]),
        },
        open,
      ),
    ),
  },
  { $id: 'Forecasts', ...open },
);

const score = Type.Object({ model: Type.String(), isChampion: Type.Boolean(), cells: Type.Integer(), wape: Type.Number(), pinball: Type.Number(), pinballP95: Type.Number(), coverageP95: Type.Number(), coverageByVolume: Type.Number(), bias: Type.Number(), unmetP95: Type.Number() }, open);
const health = Type.Object({ confidence: Type.Number({ description: 'share of the demand whose forecasts are as promised, 0 to 1' }), groups: Type.Array(Type.Object({ group: Type.String(), state: Type.String({ description: 'ok, drifting or failed' }), reason: Type.String(), best: Type.String() }, open)) }, open);

export const ScoreboardQuery = Type.Object({ since: Type.Optional(Type.String({ maxLength: 40, description: 'how far back, a duration such as 7d; default 7d' })) }, closed);
export const ScoreboardAnswer = Type.Object(
  {
    schema: Type.Literal('foremesh/scoreboard-view/v1'),
    sinceAt: instant,
    health,
    rows: Type.Array(Type.Object({ group: Type.String(), step: Type.Integer({ description: 'slots ahead' }), scores: Type.Array(score) }, open)),
    days: Type.Array(Type.Object({ startAt: instant, champion: Type.Union([score, Type.Null()]), best: Type.Union([score, Type.Null()]) }, open)),
  },
  { $id: 'Scoreboard', ...open },
);

export const ForecastExplanationAnswer = Type.Object(
  {
    schema: Type.Literal('foremesh/forecast-explanation/v1'),
    pair: Type.String(),
    explanations: Type.Array(
      Type.Object(
        {
          classId: Type.String(),
          model: Type.String(),
          slots: Type.Array(Type.Object({ startAt: instant, p50: Type.Number(), p90: Type.Number(), p95: Type.Number() }, open)),
          parts: Type.Array(Type.Object({ name: Type.String(), mbps: Type.Array(Type.Number()) }, { ...open, description: 'summands of p50, a number a slot: together they are p50' })),
          past: Type.Array(Type.Object({ startAt: instant }, open), { description: 'the last day, and what had been forecast for it' }),
          words: Type.Array(Type.String()),
        },
        open,
      ),
      { description: 'one a traffic class' },
    ),
  },
  { $id: 'ForecastExplanation', ...open },
);

const counts = { scored: Type.Integer(), needed: Type.Integer(), notNeeded: Type.Integer(), harmful: Type.Integer(), unknown: Type.Integer(), commits: Type.Integer({ description: 'that the scored ones came with' }) };
export const LedgerAnswer = Type.Object(
  {
    schema: Type.Literal('foremesh/ledger/v1'),
    regret: Type.Object({ ...counts, windowDays: Type.Integer(), recentShareNeeded: Type.Union([Type.Number(), Type.Null()], { description: 'of the newest 20 judged' }), byKind: anything }, open),
    entries: Type.Array(
      Type.Object(
        {
          commit: sha,
          at: instant,
          kind: Type.String({ description: 'tunnel-add, tunnel-remove, reroute or split' }),
          summary: Type.String(),
          meant: Type.String({ description: 'what it was meant to prevent' }),
          forecast: Type.Union([Type.Null(), Type.Object({ model: Type.String(), p50Mbps: Type.Number(), p95Mbps: Type.Number(), peakAt: instant }, open)]),
          dueAt: instant,
          score: Type.Union([Type.String({ description: 'needed, not-needed, harmful or unknown' }), Type.Null()], { description: 'null until it is judged' }),
          reason: Type.String(),
        },
        open,
      ),
    ),
  },
  { $id: 'Ledger', ...open },
);

const quantiles = Type.Union([Type.Null(), Type.Object({ p50: Type.Number(), p90: Type.Number(), p95: Type.Number() }, { description: 'of the worst slot of the horizon' })]);

export const PathForecastsAnswer = Type.Object(
  {
    schema: Type.Literal('foremesh/path-forecasts/v1'),
    madeAt: instant,
    fromAt: instant,
    slotMs: Type.Number(),
    horizonMs: Type.Number(),
    model: Type.String({ description: 'climatology while nothing was learned' }),
    skill: Type.Number({ description: '1 − Brier score / that of the best baseline, on held-out time' }),
    backtest: Type.Array(Type.Object({ model: Type.String(), brier: Type.Number(), logLoss: Type.Number() }, open)),
    paths: Type.Array(
      Type.Object(
        {
          path: Type.String(),
          latencyMs: quantiles,
          jitterMs: quantiles,
          lossRatio: quantiles,
          violations: Type.Array(Type.Object({ classId: Type.String(), probability: Type.Number({ minimum: 0, maximum: 1 }) }, open)),
          basis: Type.String({ description: 'model, or pool: too new, counts as its uplinks do' }),
        },
        open,
      ),
    ),
  },
  { $id: 'PathForecasts', ...open },
);

export const AnomaliesAnswer = Type.Object(
  {
    schema: Type.Literal('foremesh/anomalies/v1'),
    anomalies: Type.Array(
      Type.Object(
        {
          id: Type.String(),
          kind: Type.String({ description: 'surge, drop, new-pair or fan-out' }),
          from: Type.String(),
          to: Type.Union([Type.String(), Type.Null()]),
          classId: Type.Union([Type.String(), Type.Null()]),
          startAt: instant,
          lastAt: instant,
          endedAt: Type.Union([instant, Type.Null()], { description: 'null while it goes on' }),
          severity: Type.String({ description: 'low, medium or high' }),
          score: Type.Number({ description: '1: just beyond what is usual for this pair' }),
          expectedMbps: Type.Number(),
          seenMbps: Type.Number(),
          words: Type.String(),
        },
        open,
      ),
    ),
  },
  { $id: 'Anomalies', ...open },
);

export const ProposalsAnswer = Type.Object({ schema: Type.Literal('foremesh/proposals/v1'), proposals: Type.Array(Type.Object({ id: Type.Integer(), state: Type.String() }, open)) }, { $id: 'Proposals', ...open });
export const ProposalAnswer = Type.Object({ schema: Type.Literal('foremesh/proposal/v1'), id: Type.Integer(), state: Type.String(), headSha: sha, diff: Type.String(), report: Type.String(), verdict: anything }, { $id: 'Proposal', ...open });
export const CycleAnswer = Type.Object({ schema: Type.Literal('foremesh/cycle/v1'), kind: Type.String() }, { $id: 'Cycle', ...open });
export const ReviewAnswer = Type.Object({ schema: Type.Literal('foremesh/review/v1'), proposal: Type.Integer(), verdict: Type.String(), outcome: anything }, { $id: 'ReviewAnswer', ...open });
export const OverridesAnswer = Type.Object({ schema: Type.Literal('foremesh/overrides/v1'), overrides: Type.Array(anything) }, { $id: 'Overrides', ...open });
export const VetoesAnswer = Type.Object({ schema: Type.Literal('foremesh/vetoes/v1'), vetoes: Type.Array(anything) }, { $id: 'Vetoes', ...open });
export const RequestAnswer = Type.Object(
  {
    schema: Type.Literal('foremesh/request/v1'),
    commit: Type.Union([Type.String(), Type.Null()], { description: 'the commit on mesh/live that carries it' }),
    generation: Type.Union([Type.Integer(), Type.Null()]),
    proposal: Type.Union([Type.Integer(), Type.Null()], { description: 'the proposal it waits in, when the policy wants a person' }),
    override: anything,
  },
  { $id: 'RequestAnswer', ...open },
);
export const JoinTokenAnswer = Type.Object({ schema: Type.Literal('foremesh/join-token/v1'), node: Type.String(), token: Type.String({ description: 'one use; shown once' }), expiresAt: instant }, { $id: 'JoinToken', ...open });
export const ExplainAnswer = Type.Object({ schema: Type.Literal('foremesh/explanation/v1'), target: Type.String(), why: Type.String(), lines: Type.Array(Type.String()) }, { $id: 'Explanation', ...open });
export const ReplayAnswer = Type.Object({ schema: Type.Literal('foremesh/replay/v1'), commit: sha, same: Type.Boolean(), files: Type.Array(Type.Object({ file: Type.String(), same: Type.Boolean() })) }, { $id: 'Replay', ...open });
export const SignersAnswer = Type.Object({ schema: Type.Literal('foremesh/signers/v1'), signers: Type.String({ description: 'lines of an allowed_signers file' }) }, { $id: 'Signers', ...open });
export const TrainingAnswer = Type.Object({ schema: Type.Literal('foremesh/training/v1'), training: anything }, { $id: 'Training', ...open });
export const ModelsAnswer = Type.Object(
  { schema: Type.Literal('foremesh/models/v1'), active: Type.Union([Type.Integer(), Type.Null()]), isPinned: Type.Boolean({ description: 'a person chose it: what is trained later is not used' }), versions: Type.Array(anything) },
  { $id: 'Models', ...open },
);
export const ModelAnswer = Type.Object({ schema: Type.Literal('foremesh/model/v1'), model: anything }, { $id: 'ModelAnswer', ...open });
export const ModelFileAnswer = Type.Object({ schema: Type.Literal('foremesh/model-file/v1'), version: Type.Integer(), content: Type.String() }, { $id: 'ModelFile', ...open });
export const NodeRequestAnswer = Type.Object({ schema: Type.Literal('foremesh/node-request/v1'), node: Type.String() }, { $id: 'NodeRequest', ...open });
export const RevocationAnswer = Type.Object({ schema: Type.Literal('foremesh/revocation/v1'), node: Type.String(), keys: Type.Array(anything) }, { $id: 'Revocation', ...open });
export const RevocationsAnswer = Type.Object({ schema: Type.Literal('foremesh/revocations/v1'), revocations: Type.Array(anything) }, { $id: 'Revocations', ...open });
export const HealthAnswer = Type.Object({ ok: Type.Boolean(), state: Type.String() }, { $id: 'Health', ...open });

/** Registered by `$id`, so that the document names them. */
export const SHARED_SCHEMAS = [
  ErrorAnswer, Finding, ReviewBody, OverrideBody, JoinTokenBody, StatusAnswer, PlanAnswer, ForecastsAnswer, AnomaliesAnswer, PathForecastsAnswer, ForecastExplanationAnswer, ScoreboardAnswer, LedgerAnswer, SignersAnswer, TrainingAnswer, ProposalsAnswer, ProposalAnswer, CycleAnswer,
  ReviewAnswer, OverridesAnswer, VetoesAnswer, RequestAnswer, JoinTokenAnswer, ExplainAnswer, ReplayAnswer, HealthAnswer, NodeRequestAnswer, RevocationBody, RevocationAnswer, RevocationsAnswer,
  ModelUseBody, ModelFileBody, ModelsAnswer, ModelAnswer, ModelFileAnswer,
] as const;

export type ReviewRequest = Static<typeof ReviewBody>;
export type OverrideRequestBody = Static<typeof OverrideBody>;
export type RevocationRequestBody = Static<typeof RevocationBody>;
export type JoinTokenRequest = Static<typeof JoinTokenBody>;
export type ModelUseRequest = Static<typeof ModelUseBody>;
export type ModelFileRequest = Static<typeof ModelFileBody>;
