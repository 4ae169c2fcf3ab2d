import type { TunnelId } from '../../src/model/index.ts';
import { tryKey } from './timing.ts';
import type { Action, Desired, Memory, Observed, Renewal } from './types.ts';

/** In-flight packets arrive within this after the last end left the tunnel; also how long a new SA has to carry probes, ms. */
const SETTLE_MS = 300;
/** Traffic that has nowhere else to go stays: after this the SA is made under it, ms. */
const LEAVE_MAX_MS = 3_000;
/** A new SA that carries no probe for so long is not used, ms. */
const PROVE_MAX_MS = 5_000;
/** Any other step that takes longer is given up, and all begins again later, ms. */
const STEP_MAX_MS = 15_000;
/** Each try moves traffic, so they are rare: after the n-th, n times this, at most 10 times, ms. */
const RETRY_MS = 60_000;
/** While keys are made anew this is looked at so often, ms. */
export const RENEWAL_POLL_MS = 50;

/**
 * Moves tunnels to a new certificate, one at a time, without IKE reauthentication and without a lost packet:
 *
 * 1. `leaving`: both ends point their lanes elsewhere where something else is up (probes carry the wish to the peer);
 * 2. `making`: the initiating end makes a second IKE SA with the certificate of now, beside the old one;
 * 3. `proving`: probes go through it, both ways (packets always use the newest SA);
 * 4. `ending`: the older one is ended in agreement with the peer, and traffic may come back.
 *
 * The end that does not initiate only says that it wants it (`leaving`) and waits for another SA. A tunnel without an
 * alternative goes through the same under traffic: the answering end then uses the new SA some milliseconds before the
 * initiating one can read it, and what it sends in them is lost.
 * A new SA that carries nothing is ended instead of the old one.
 *
 * @see docs/adr/0014-certificates-without-reauthentication.md
 */
export function noteRenewal(memory: Memory, desired: Desired, observed: Observed, working: ReadonlySet<TunnelId>, nowMs: number): Pick<Memory, 'stale' | 'renewal' | 'tries'> {
  const { tries } = memory;
  const wanted = new Map(desired.config.tunnels.map((tunnel) => [tunnel.id, tunnel]));
  const isOurs = (tunnel: TunnelId): boolean => wanted.get(tunnel)?.initiator === true;
  const byPeers = [...observed.probes].flatMap(([tunnel, { peerRenews }]) => (peerRenews && memory.renewal?.tunnel !== tunnel ? [tunnel] : []));
  const asked = byPeers.filter(isOurs);
  const stale = new Set([...memory.stale, ...asked].filter((tunnel) => working.has(tunnel) && wanted.has(tunnel)));
  if (!observed.daemon) return { stale, renewal: memory.renewal, tries };
  const sas = new Map(observed.daemon.sas.map((sa) => [sa.tunnel, sa]));
  const done = (tunnel: TunnelId): Pick<Memory, 'stale' | 'renewal' | 'tries'> => ({ stale: new Set([...stale].filter((other) => other !== tunnel)), renewal: null, tries });
  const { renewal } = memory;
  const begun = (): Renewal | null => {
    // what peers are at goes first: two tunnels of one pair at the same time would leave it none to go to
    const candidates = byPeers.length > 0 ? asked : [...stale];
    const tunnel = candidates.sort().find((one) => stale.has(one) && nowMs >= (tries.get(tryKey('renew', one))?.nextAtMs ?? 0));
    const sa = tunnel && sas.get(tunnel);
    return tunnel && sa ? { tunnel, phase: 'leaving', sinceMs: nowMs, ikeId: sa.ikeId } : null;
  };
  if (!renewal) return { stale, renewal: begun(), tries };
  const { tunnel, phase, sinceMs, ikeId } = renewal;
  const sa = sas.get(tunnel);
  if (!sa || !working.has(tunnel) || !wanted.has(tunnel)) return done(tunnel); // it is gone; the next one has the new certificate anyway
  const isNew = sa.ikeId !== ikeId && sa.childState === 'INSTALLED';
  if (phase === 'leaving' && isNew && !isOurs(tunnel)) return done(tunnel);
  if (phase === 'leaving' && !isOurs(tunnel) && byPeers.length > 0) return { stale, renewal: null, tries }; // likewise: it comes later
  if (phase === 'ending' && sa.besides === 0) return done(tunnel);
  if (phase === 'making' && isNew) return { stale, tries, renewal: { ...renewal, phase: 'proving', sinceMs: nowMs } };
  if (nowMs - sinceMs >= STEP_MAX_MS) return { stale, renewal: null, tries: laterTry(tries, tunnel, nowMs) };
  return { stale, renewal, tries };
}

/** The step that is due, if any; after `noteRenewal`. */
export function renewalActions(memory: Memory, desired: Desired, observed: Observed, nowMs: number): Action[] {
  const { renewal } = memory;
  if (!renewal || !observed.daemon) return [];
  const { tunnel, phase, sinceMs } = renewal;
  const probe = observed.probes.get(tunnel);
  const passedMs = nowMs - sinceMs;
  if (phase === 'leaving' && desired.config.tunnels.some(({ id, initiator }) => id === tunnel && initiator)) {
    const isUsed = memory.applied?.wanted.lanes.some(({ active }) => active === tunnel) === true || probe?.peerInUse === true;
    return passedMs >= (isUsed ? LEAVE_MAX_MS : SETTLE_MS) ? [{ kind: 'initiate-beside', tunnel }] : [];
  }
  if (phase !== 'proving' || passedMs < SETTLE_MS) return [];
  if (probe?.state === 'up' || probe?.state === 'degraded') return [{ kind: 'terminate-some', tunnel, which: 'older' }];
  return passedMs >= PROVE_MAX_MS ? [{ kind: 'terminate-some', tunnel, which: 'newest' }] : [];
}

/** A step was done. */
export function rememberRenewal(memory: Memory, action: Action, nowMs: number): Memory {
  const { renewal } = memory;
  if (!renewal) return memory;
  if (action.kind === 'initiate-beside') return { ...memory, renewal: advanced(renewal, 'making', nowMs) };
  if (action.kind !== 'terminate-some') return memory;
  if (action.which === 'older') return { ...memory, renewal: advanced(renewal, 'ending', nowMs) };
  return { ...memory, renewal: null, tries: laterTry(memory.tries, renewal.tunnel, nowMs) };
}

/** From now on everything that is up stands on an old certificate. */
export function rememberCredentials(memory: Memory, serial: number, adoptedAreCurrent: boolean): Memory {
  const isFirst = memory.credentialsSerial === null;
  const old = isFirst ? (adoptedAreCurrent ? [] : [...(memory.adopted ?? [])]) : memory.credentialsSerial === serial ? [] : [...memory.known.keys()];
  return { ...memory, credentialsSerial: serial, stale: new Set([...memory.stale, ...old]) };
}

function advanced(renewal: Renewal, phase: Renewal['phase'], nowMs: number): Renewal {
  return { ...renewal, phase, sinceMs: nowMs };
}

function laterTry(tries: Memory['tries'], tunnel: TunnelId, nowMs: number): Memory['tries'] {
  const key = tryKey('renew', tunnel);
  const count = (tries.get(key)?.count ?? 0) + 1;
  return new Map(tries).set(key, { count, nextAtMs: nowMs + Math.min(count, 10) * RETRY_MS });
}
