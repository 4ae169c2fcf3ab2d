import { roundTo, sortedBy } from '../../base/index.ts';
import type { DemandBound, DoubtKind, NodeId, SiteId, UnknownDemand } from '../../model/index.ts';
import { getOrSet } from '../tunnel-usage.ts';
import { blame, type Comparison } from './blame.ts';
import type { CountedWindows } from './counted.ts';
import type { Topology } from './topology.ts';

export interface NodeJudgement {
  node: NodeId;
  site: SiteId;
  /** `unknown`: nobody else counted anything that could speak for or against it. */
  verdict: 'agrees' | 'contradicted' | 'unknown';
  kind: DoubtKind;
  why: string;
}

export interface WindowJudgement {
  startAt: number;
  endAt: number;
  nodes: NodeJudgement[];
  /** Only where less is allowed than was reported. */
  bounds: DemandBound[];
  /** Where what was reported cannot be, and nobody else can say what is. */
  unknown: UnknownDemand[];
  /** Pairs of which more was reported than can be, by more than figures may differ; the unknown ones too. */
  unlearnable: UnknownDemand[];
}

/** Figures of two ends that differ by less are both right: beats, headers and packets under way. */
const TOLERANCE = 1.25;
/** And so are differences below this, Mbit/s. */
const FLOOR_MBPS = 0.05;
/** An uplink that carries this share of what it can drops what is more, after the sender has counted it. */
const FULL_SHARE = 0.7;
const LOSS_MAX = 0.6;
/** A gateway that relays nothing and sends nothing twice sends about what its hosts offer; headers and what is not counted are less than this. */
const UNDER_FACTOR = 2.5;
const UNDER_FLOOR_MBPS = 0.2;
/** Of what nobody else can have seen, more than uplinks carry is cut; hosts may well want that much. */
const UNSEEN_CAPACITIES = 1;
/** What somebody in quarantine may claim of traffic that nobody else can see, of all that is confirmed in the mesh. */
const UNSEEN_SHARE_IN_QUARANTINE = 0.02;

export interface JudgeInputs {
  window: number;
  counted: CountedWindows;
  topology: Topology;
  /** In quarantine: no witnesses. */
  distrusted: ReadonlySet<NodeId>;
  /** Loss towards `node` over `tunnel` as `node` itself measured it, 0…1. */
  lossAt?: (tunnel: string, node: NodeId) => number;
  /** False where `node` itself finds `tunnel` dead: what is offered to it arrives nowhere, and nobody lies. */
  isAlive?: (tunnel: string, node: NodeId) => boolean;
}

/**
 * Holds what gateways say they were offered and sent against what the gateways at the other ends saw arrive.
 * Who is contradicted by most is wrong; what is offered beyond what arrived is cut to that, except where there is no
 * tunnel to have carried it, or where an uplink is so full that the rest was dropped after it was counted.
 */
export function judgeWindow(inputs: JudgeInputs): WindowJudgement {
  const { window, counted, topology } = inputs;
  const comparisons = compareEnds(inputs);
  const blamed = blame(comparisons);
  const unreliable = new Set<NodeId>([...blamed, ...inputs.distrusted]);
  const claims = claimsOf(inputs);
  const confirmed = new Map([...claims].map(([node]) => [node, confirmedMbps(inputs, node, unreliable)]));
  const confirmedInAll = [...claims.values()].reduce((sum, claim) => sum + Math.min(claim.seenMbps, confirmed.get(claim.node)?.mbps ?? 0), 0);
  const nodes: NodeJudgement[] = [];
  const bounds: Bounds = new Map();
  const unknown: UnknownDemand[] = [];
  const startAt = window * counted.windowMs;
  for (const [node, { site }] of topology.nodes) {
    const claim = claims.get(node);
    const witness = confirmed.get(node) ?? null;
    const isOver = claim !== undefined && witness !== null && !witness.isFull && claim.seenMbps > TOLERANCE * witness.mbps + FLOOR_MBPS;
    const untold = untoldMbps(inputs, node, claim);
    const against = comparisons.filter(({ one, other }) => one === node || other === node);
    const isKnown = against.length > 0 || (claim !== undefined && witness !== null);
    const isContradicted = isOver || untold !== null || blamed.has(node);
    const verdict = isContradicted ? 'contradicted' : isKnown && against.every(({ agrees, one, other }) => agrees || blamed.has(one === node ? other : one)) ? 'agrees' : 'unknown';
    const why = isOver
      ? `${node} says that hosts offered ${text(claim.seenMbps)} Mbit/s; the other ends saw ${text(witness.mbps)} arrive`
      : blamed.has(node) || untold === null
        ? `the counters of ${against.filter(({ agrees }) => !agrees).length} of ${against.length} tunnels of ${node} contradict those of their other ends`
        : `${node} says that hosts offered ${text(offeredMbps(claim))} Mbit/s; its tunnels carried ${text(untold)} away`;
    nodes.push({ node, site, verdict, kind: isOver || (untold !== null && !blamed.has(node)) ? 'offered' : 'ends', why });
    const isUnreliable = unreliable.has(node) || isOver || untold !== null;
    if (claim) addBounds(bounds, inputs, claim, { witness, isOver, isUnreliable, unreliable, confirmedInAll });
    if (isUnreliable) unknown.push(...unknownOf(inputs, node, claim, { untold, witness, unreliable }).map((to) => ({ startAt, from: site, to })));
  }
  const cut = sortedBy([...bounds.values()], ({ from, to }) => `${from}>${to}`).filter(({ allowedMbps, reportedMbps }) => allowedMbps < reportedMbps);
  return {
    startAt,
    endAt: startAt + counted.windowMs,
    nodes: sortedBy(nodes, ({ node }) => node),
    bounds: cut.map(({ startAt: at, from, to, allowedMbps }) => ({ startAt: at, from, to, allowedMbps })),
    unknown,
    unlearnable: [...unknown, ...cut.filter(({ allowedMbps, reportedMbps }) => reportedMbps > TOLERANCE * allowedMbps + FLOOR_MBPS).map(({ from, to }) => ({ startAt, from, to }))],
  };
}

type Bounds = Map<string, DemandBound & { reportedMbps: number }>;

/** What left over its tunnels, by its own counters and those at the other ends, where it says that hosts offered far less; null where that is not so or cannot be told. */
function untoldMbps({ window, counted, topology }: JudgeInputs, node: NodeId, claim: Claim | undefined): number | null {
  const { isRelay, sendsTwice } = topology.nodes.get(node)!;
  if (isRelay || sendsTwice) return null;
  let mbps = 0;
  for (const [id, { ends }] of topology.tunnels) {
    const index = ends.indexOf(node);
    if (index < 0) continue;
    const own = counted.range(window, id, node, 'txBytes');
    if (!own) continue;
    const arrived = counted.range(window, id, ends[1 - index]!, 'rxBytes');
    mbps += (Math.min(own.least, arrived?.least ?? own.least) * 8) / counted.windowMs / 1000;
  }
  return mbps > UNDER_FACTOR * offeredMbps(claim) + UNDER_FLOOR_MBPS ? mbps : null;
}

function offeredMbps(claim: Claim | undefined): number {
  return [...(claim?.pairs.values() ?? [])].reduce((sum, { mbps }) => sum + mbps, 0);
}

/** Sites to which nobody knows what was offered: of a gateway that tells too little all, of one that tells too much those of which nobody reliable saw anything. */
function unknownOf(inputs: JudgeInputs, node: NodeId, claim: Claim | undefined, { untold, witness, unreliable }: { untold: number | null; witness: Witness | null; unreliable: ReadonlySet<NodeId> }): SiteId[] {
  const { topology } = inputs;
  const { site, isRelay } = topology.nodes.get(node)!;
  const others = [...new Set([...topology.nodes.values()].map((one) => one.site))].filter((other) => other !== site).sort();
  const isTooLittle = untold !== null || (!isRelay && witness !== null && TOLERANCE * TOLERANCE * offeredMbps(claim) + FLOOR_MBPS < witness.mbps);
  if (isTooLittle) return others;
  return others.filter((to) => claim?.pairs.has(to) && (!claim.pairs.get(to)!.hasWay || (arrivedAt(inputs, site, to, unreliable) === null && !witness?.isFull)));
}

/** Both directions of every tunnel that both ends counted, where anything went through. */
function compareEnds({ window, counted, topology, lossAt }: JudgeInputs): Comparison[] {
  const comparisons: Comparison[] = [];
  for (const [id, { ends: [a, b] }] of topology.tunnels) {
    for (const [from, to] of [[a, b], [b, a]] as const) {
      const sent = counted.range(window, id, from, 'txBytes');
      const arrived = counted.range(window, id, to, 'rxBytes');
      const sentNow = counted.tunnel(window, id, from)?.txBytes;
      const arrivedNow = counted.tunnel(window, id, to)?.rxBytes;
      if (!sent || !arrived || sentNow === undefined || arrivedNow === undefined) continue;
      const mbps = (bytes: number): number => (bytes * 8) / counted.windowMs / 1000;
      if (Math.max(mbps(sentNow), mbps(arrivedNow)) < FLOOR_MBPS) continue;
      const passed = 1 - Math.min(LOSS_MAX, lossAt?.(id, to) ?? 0);
      const isTooMuchSent = mbps(sentNow) > (TOLERANCE * mbps(arrived.most)) / passed + FLOOR_MBPS;
      const isTooMuchArrived = mbps(arrivedNow) > TOLERANCE * mbps(sent.most) + FLOOR_MBPS;
      if (isTooMuchSent && isFull({ window, counted, topology }, id, from, to)) continue;
      comparisons.push({ one: from, other: to, agrees: !isTooMuchSent && !isTooMuchArrived });
    }
  }
  return comparisons;
}

/** True when the way from one end to the other is about full, by what the receivers count. */
function isFull({ window, counted, topology }: Pick<JudgeInputs, 'window' | 'counted' | 'topology'>, tunnel: string, from: NodeId, to: NodeId): boolean {
  const { ends, uplinks } = topology.tunnels.get(tunnel)!;
  const [fromUplink, toUplink] = ends[0] === from ? uplinks : [uplinks[1], uplinks[0]];
  const over = (uplink: string, node: NodeId, side: 'out' | 'in'): number => {
    let bytes = 0;
    for (const [id, { ends: of, uplinks: through }] of topology.tunnels) {
      const index = of.indexOf(node);
      if (index < 0 || through[index] !== uplink) continue;
      bytes += counted.tunnel(window, id, side === 'in' ? node : of[1 - index]!)?.rxBytes ?? 0;
    }
    return (bytes * 8) / counted.windowMs / 1000;
  };
  const { upMbps = Infinity } = topology.uplinks.get(fromUplink) ?? {};
  const { downMbps = Infinity } = topology.uplinks.get(toUplink) ?? {};
  return over(fromUplink, from, 'out') >= FULL_SHARE * upMbps || over(toUplink, to, 'in') >= FULL_SHARE * downMbps;
}

interface Claim {
  node: NodeId;
  site: SiteId;
  /** Per destination, without what was dropped before it could leave. */
  pairs: Map<SiteId, { mbps: number; droppedMbps: number; hasWay: boolean }>;
  /** Of pairs with a way, without what was dropped: what somebody else must have seen. */
  seenMbps: number;
}

/** A pair has a way while the far end finds one of its last tunnels alive. */
function hasLivingWay({ topology, isAlive }: JudgeInputs, from: SiteId, to: SiteId): boolean {
  const hops = topology.lastHops.get(`${from}>${to}`);
  if (!hops || !isAlive) return hops !== undefined;
  return [...hops].some((id) => (topology.tunnels.get(id)?.ends ?? []).some((node) => topology.nodes.get(node)?.site === to && isAlive(id, node)));
}

function claimsOf(inputs: JudgeInputs): Map<NodeId, Claim> {
  const { window, counted, topology } = inputs;
  const claims = new Map<NodeId, Claim>();
  for (const { node, from, to, bytes, droppedBytes } of counted.offered(window)) {
    if (topology.nodes.get(node)?.site !== from) continue;
    const claim = getOrSet(claims, node, () => ({ node, site: from, pairs: new Map(), seenMbps: 0 }));
    const pair = getOrSet(claim.pairs, to, () => ({ mbps: 0, droppedMbps: 0, hasWay: hasLivingWay(inputs, from, to) }));
    pair.mbps += (bytes * 8) / counted.windowMs / 1000;
    pair.droppedMbps += (droppedBytes * 8) / counted.windowMs / 1000;
  }
  for (const claim of claims.values()) for (const { mbps, droppedMbps, hasWay } of claim.pairs.values()) if (hasWay) claim.seenMbps += mbps - droppedMbps;
  return claims;
}

interface Witness {
  /** What the other ends saw arrive from the node, Mbit/s. */
  mbps: number;
  isFull: boolean;
}

/** Null where one of the tunnels has no witness: what went through it nobody knows. */
function confirmedMbps({ window, counted, topology, lossAt }: JudgeInputs, node: NodeId, unreliable: ReadonlySet<NodeId>): Witness | null {
  let mbps = 0;
  let full = false;
  let witnesses = 0;
  for (const [id, { ends }] of topology.tunnels) {
    const index = ends.indexOf(node);
    if (index < 0) continue;
    const other = ends[1 - index]!;
    const arrived = unreliable.has(other) ? null : counted.range(window, id, other, 'rxBytes');
    const own = unreliable.has(node) ? null : counted.range(window, id, node, 'txBytes');
    const bytes = arrived ? arrived.most / (1 - Math.min(LOSS_MAX, lossAt?.(id, other) ?? 0)) : own?.most;
    if (bytes === undefined) {
      if (unreliable.has(node)) continue; // its own word does not count, and nobody else's is there
      return null;
    }
    witnesses += 1;
    mbps += (bytes * 8) / counted.windowMs / 1000;
    full ||= arrived !== null && isFull({ window, counted, topology }, id, node, other);
  }
  return witnesses > 0 ? { mbps, isFull: full } : null;
}

interface Judged {
  witness: Witness | null;
  isOver: boolean;
  isUnreliable: boolean;
  unreliable: ReadonlySet<NodeId>;
  confirmedInAll: number;
}

function addBounds(bounds: Bounds, inputs: JudgeInputs, claim: Claim, judged: Judged): void {
  const { window, counted, topology } = inputs;
  const { site, pairs } = claim;
  const { witness, isUnreliable } = judged;
  const allowed = new Map<SiteId, number>();
  for (const [to, { mbps, droppedMbps, hasWay }] of pairs) {
    const seen = hasWay && !witness?.isFull ? arrivedAt(inputs, site, to, judged.unreliable) : null;
    const capacity = UNSEEN_CAPACITIES * topology.capacityMbps(site, to);
    const bySeen = seen === null || mbps - droppedMbps <= TOLERANCE * seen + FLOOR_MBPS ? Infinity : seen + Math.min(droppedMbps, seen);
    allowed.set(to, Math.min(mbps, bySeen, isUnreliable || bySeen < Infinity ? capacity : Math.max(capacity, Math.min(mbps, 4 * capacity))));
  }
  if (isUnreliable) {
    // what is confirmed is all there is to share out; a part of what nobody can have seen is let through
    const unseenMost = UNSEEN_SHARE_IN_QUARANTINE * judged.confirmedInAll;
    const seen = scaleOf([...allowed].filter(([to]) => pairs.get(to)!.hasWay), witness?.mbps ?? unseenMost);
    const unseen = scaleOf([...allowed].filter(([to]) => !pairs.get(to)!.hasWay), unseenMost);
    for (const [to, mbps] of allowed) allowed.set(to, mbps * (pairs.get(to)!.hasWay ? seen : unseen));
  }
  for (const [to, mbps] of allowed) {
    const key = `${site}>${to}`;
    const bound = getOrSet(bounds, key, () => ({ startAt: window * counted.windowMs, from: site, to, allowedMbps: 0, reportedMbps: 0 }));
    bound.allowedMbps += mbps;
    bound.reportedMbps += pairs.get(to)!.mbps;
  }
}

/** All that came out of tunnels over which the pair's traffic may arrive; null where one of these ends does not say. */
function arrivedAt({ window, counted, topology }: JudgeInputs, from: SiteId, to: SiteId, unreliable: ReadonlySet<NodeId>): number | null {
  let bytes = 0;
  for (const id of topology.lastHops.get(`${from}>${to}`) ?? []) {
    const node = topology.tunnels.get(id)?.ends.find((end) => topology.nodes.get(end)?.site === to);
    const arrived = node === undefined || unreliable.has(node) ? null : counted.range(window, id, node, 'rxBytes');
    if (!arrived) return null;
    bytes += arrived.most;
  }
  return (bytes * 8) / counted.windowMs / 1000;
}

function scaleOf(pairs: readonly (readonly [SiteId, number])[], most: number): number {
  const total = pairs.reduce((sum, [, mbps]) => sum + mbps, 0);
  return total > most ? most / total : 1;
}

function text(mbps: number): string {
  return String(roundTo(mbps, mbps >= 100 ? 0 : 2));
}
