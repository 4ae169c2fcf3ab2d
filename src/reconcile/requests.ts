import { digest, ForemeshError, sortedBy } from '../base/index.ts';
import { connectionFor, findUplink, isAdmitted, nodesOf, sitesOfPair, uplinksOfPath, type ClassId, type Intent, type Override, type Plan, type Veto } from '../model/index.ts';

/** A person's wish to change the overrides or vetoes on mesh/live. */
export type Request = { kind: 'set'; override: Override } | { kind: 'clear'; id: string } | { kind: 'lift'; fingerprint: string };

/** What became of a wish. */
export type RequestResult =
  | { ok: true; commit: string | null; generation: number | null; proposal: number | null; override: Override | null }
  | { ok: false; code: 'POLICY_DENIED' | 'API_NOT_FOUND' | 'GIT_REF_MOVED' | 'PLAN_INVALID'; what: string; fix: string };

export type OverrideRequest = Omit<Override, 'id'>;

/** An override may not outlive this, ms: what should last belongs into the intent. */
export const OVERRIDE_MS_MAX = 24 * 3_600_000;

/**
 * The override of a request, with its id, which is the digest of what it says: asked twice, it is set once.
 * @throws ForemeshError API_REQUEST_INVALID when it lacks an end, a reason or a name, ends too late, or names what the intent does not have
 */
export function overrideOf(request: OverrideRequest, intent: Intent | null, now: number): Override {
  const refuse = (what: string, fix: string): never => {
    throw new ForemeshError('API_REQUEST_INVALID', { what, fix });
  };
  if (!Number.isFinite(request.until) || request.until <= now) refuse('the override ends in the past', 'give an end that lies ahead');
  if (request.until > now + OVERRIDE_MS_MAX) refuse('the override would last longer than 24 hours', 'give an earlier end, or put it into mesh-config');
  if (request.why.trim().length === 0) refuse('the override gives no reason', 'say why, so that others can judge it');
  if (request.by.trim().length === 0) refuse('the override names nobody', 'say who asks for it');
  const missing = intent === null ? null : unknownName(request.what, intent);
  if (missing !== null) refuse(missing, 'foremesh status lists sites, nodes and paths');
  const override = { what: request.what, until: Math.round(request.until), why: request.why.trim(), by: request.by.trim() };
  return { id: `o-${digest(override).slice(7, 15)}`, ...override };
}

/**
 * What stands at `now`: overrides that were asked for and are in the live plan, and those that main's files hold. One
 * of a file goes when its document does. A file's override begins to count at most a day before its end, as any other
 * may last a day at most.
 */
export function standingOverrides(live: readonly Override[], files: readonly Override[], now: number): Override[] {
  const asked = live.filter(({ id }) => ASKED_ID.test(id));
  const written = files.filter(({ until }) => until <= now + OVERRIDE_MS_MAX);
  return [...asked, ...written].filter(({ until }) => until > now);
}

/** As `overrideOf` makes them; a document's id is its name. */
const ASKED_ID = /^o-[0-9a-f]{8}$/;

/** What the lists are after the wishes, in the order in which they came. */
export function applyRequests(plan: Pick<Plan, 'overrides' | 'vetoes'>, requests: readonly Request[]): { overrides: Override[]; vetoes: Veto[] } {
  const overrides = new Map(plan.overrides.map((override) => [override.id, override]));
  const vetoes = new Map(plan.vetoes.map((veto) => [veto.fingerprint, veto]));
  for (const request of requests) {
    if (request.kind === 'set') overrides.set(request.override.id, request.override);
    else if (request.kind === 'clear') overrides.delete(request.id);
    else vetoes.delete(request.fingerprint);
  }
  return { overrides: sortedBy([...overrides.values()], ({ id }) => id), vetoes: sortedBy([...vetoes.values()], ({ fingerprint }) => fingerprint) };
}

/** The wishes that an open proposal carries: how its lists differ from those of the commit that it was made against. */
export function requestsOf(base: Pick<Plan, 'overrides' | 'vetoes'>, proposed: Pick<Plan, 'overrides' | 'vetoes'>, now: number): Request[] {
  const added = proposed.overrides.filter(({ id, until }) => until > now && !base.overrides.some((override) => override.id === id));
  const cleared = base.overrides.filter(({ id, until }) => until > now && !proposed.overrides.some((override) => override.id === id));
  const lifted = base.vetoes.filter(({ fingerprint, until }) => until > now && !proposed.vetoes.some((veto) => veto.fingerprint === fingerprint));
  return [
    ...added.map((override): Request => ({ kind: 'set', override })),
    ...cleared.map(({ id }): Request => ({ kind: 'clear', id })),
    ...lifted.map(({ fingerprint }): Request => ({ kind: 'lift', fingerprint })),
  ];
}

function unknownName(what: Override['what'], intent: Intent): string | null {
  if (what.kind === 'drain-node') {
    return nodesOf(intent).some(({ id }) => id === what.node) ? null : `the intent has no node "${what.node}"`;
  }
  const unknown = uplinksOfPath(what.path).find((uplink) => uplink === undefined || !findUplink(intent, uplink));
  if (unknown !== undefined) return `path "${what.path}" names an uplink that the intent does not have`;
  if (!what.path.includes('~')) return `"${what.path}" is not a path (uplink~uplink)`;
  if (what.kind === 'pin-path') {
    const [from, to] = sitesOfPair(what.pair);
    if (!from || !to || !isAdmitted(intent, from, to)) return `the intent admits no pair "${what.pair}"`;
    const allowed = connectionFor(intent, from, to)?.classes ?? [];
    const mayUse = (id: ClassId): boolean => intent.classes.some((known) => known.id === id) && (allowed.length === 0 || allowed.includes(id));
    if (what.classId !== undefined && !mayUse(what.classId)) return `pair "${what.pair}" has no traffic class "${what.classId}"`;
  }
  return null;
}
