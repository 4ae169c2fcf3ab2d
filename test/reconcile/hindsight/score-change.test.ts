import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatFinding } from '../../../src/base/index.ts';
import { loadIntent, readConfigFolder } from '../../../src/intent/index.ts';
import { classId, EMPTY_PLAN, findUplink, NO_COUNTS, nodeOfUplink, nodesOf, pairId, pathId, siteId, tunnelId, type Assignment, type ChangeKey, type ChangeScore, type DemandSeries, type Plan, type ScoredKind, type Tunnel, type UplinkId } from '../../../src/model/index.ts';
import { loadModel, loadsOf } from '../../../src/reconcile/hindsight/loads.ts';
import { regretLine, regretOf } from '../../../src/reconcile/hindsight/regret.ts';
import { meantToPrevent, scoreChange, type ChangeCase, type Observed } from '../../../src/reconcile/hindsight/score-change.ts';
import type { LedgerEntry } from '../../../src/reconcile/hindsight/ledger-entries.ts';

const START_AT = Date.UTC(2026, 10, 29, 9);
const SLOT_MS = 900_000;
const loaded = loadIntent(await readConfigFolder('.'), null);
if (!loaded.ok) throw new Error(loaded.findings.map(formatFinding).join('\n'));
/** The example: uplinks of berlin-gw1 carry 10 Mbit/s each way, those of paris-gw1 20, all of it planned to 80 %. */
const { intent } = loaded.value;

function tunnel(one: string, other: string): Tunnel {
  const [a, b] = [one, other].sort() as [UplinkId, UplinkId];
  const end = (uplink: UplinkId): Tunnel['a'] => {
    const node = nodesOf(intent).find(({ id }) => id === nodeOfUplink(uplink))!;
    return { node: node.id, site: node.site, uplink, address: findUplink(intent, uplink)!.address, overlay: '' };
  };
  const path = pathId(a, b);
  return { id: tunnelId(path, 'strong'), path, index: 0, a: end(a), b: end(b), securityProfile: 'strong', plannedAt: START_AT };
}

const fibre = tunnel('berlin-gw1/fibre', 'paris-gw1/fibre');
const cable = tunnel('berlin-gw1/cable', 'paris-gw1/cable');
const hamburg = tunnel('berlin-gw1/fibre', 'hamburg-gw1/dsl');

type Ways = [Tunnel[], number][];
/** Both directions of one class. */
function carried(from: string, to: string, trafficClass: string, ...ways: Ways): Assignment[] {
  const there = { from: siteId(from), to: siteId(to), classId: classId(trafficClass), backups: [] };
  return [
    { ...there, routes: ways.map(([way, weight]) => ({ tunnels: way.map(({ id }) => id), weight })) },
    { ...there, from: there.to, to: there.from, routes: ways.map(([way, weight]) => ({ tunnels: way.map(({ id }) => id).toReversed(), weight })) },
  ];
}

const planOf = (tunnels: Tunnel[], ...assignments: Assignment[]): Plan => ({ ...EMPTY_PLAN, mesh: 'example', tunnels, assignments });
const series = (from: string, to: string, trafficClass: string, mbps: (number | null)[]): DemandSeries => ({ from: siteId(from), to: siteId(to), classId: classId(trafficClass), mbps });
const observed = (demands: DemandSeries[], more: Partial<Observed> = {}): Observed => ({ startAt: START_AT, slotMs: SLOT_MS, demands, looks: { before: { count: 0, bad: 0 }, after: { count: 0, bad: 0 } }, takenBackAt: null, addedAgainAt: null, ...more });

const reroute: ChangeKey = { kind: 'reroute', pair: pairId(siteId('berlin'), siteId('paris')), classId: classId('bulk'), paths: [[cable.path]] };
const added: ChangeKey = { kind: 'tunnel-add', path: cable.path, securityProfile: 'strong' };
const removed: ChangeKey = { kind: 'tunnel-remove', path: cable.path, securityProfile: 'strong' };
/** Bulk of berlin–paris over fibre, where voice goes as well; then over cable. */
const together = planOf([fibre, cable], ...carried('berlin', 'paris', 'voice', [[fibre], 100]), ...carried('berlin', 'paris', 'bulk', [[fibre], 100]));
const apart = planOf([fibre, cable], ...carried('berlin', 'paris', 'voice', [[fibre], 100]), ...carried('berlin', 'paris', 'bulk', [[cable], 100]));
const moved: ChangeCase = { kind: 'reroute', key: reroute, intent, before: together, after: apart };
const both = (voice: (number | null)[], bulk: (number | null)[]): DemandSeries[] => [series('berlin', 'paris', 'voice', voice), series('berlin', 'paris', 'bulk', bulk), series('paris', 'berlin', 'bulk', [1, 1, 1, 1])];

describe('the load that a plan makes of demands', () => {
  it('goes up at the sender, down at the receiver, and twice through a relay', () => {
    const plan = planOf([fibre, hamburg], ...carried('hamburg', 'paris', 'bulk', [[hamburg, fibre], 100]));
    const model = loadModel(intent, plan);
    const loads = loadsOf(model, (demand) => (demand === 'hamburg>paris#bulk' ? 4 : 0));
    const loaded = Object.fromEntries(model.names.flatMap((name, index) => (loads[index]! > 0 ? [[name, loads[index]!]] : [])));
    expect(loaded).toEqual({ 'hamburg-gw1/dsl up': 4, 'berlin-gw1/fibre down': 4, 'berlin-gw1/fibre up': 4, 'paris-gw1/fibre down': 4, 'hamburg-gw1 crypto': 4, 'berlin-gw1 crypto': 8, 'paris-gw1 crypto': 4 });
  });

  it('is spread by the weights of a split, and counts the second copy of a class that is sent twice', () => {
    const model = loadModel(intent, planOf([fibre, cable], ...carried('berlin', 'paris', 'bulk', [[fibre], 70], [[cable], 30]), { ...carried('berlin', 'paris', 'voice', [[fibre], 100])[0]!, copies: [[cable.id]] }));
    const loads = loadsOf(model, (demand) => (demand === 'berlin>paris#bulk' ? 10 : demand === 'berlin>paris#voice' ? 1 : 0));
    expect(loads[model.names.indexOf('berlin-gw1/fibre up')]).toBeCloseTo(8);
    expect(loads[model.names.indexOf('berlin-gw1/cable up')]).toBeCloseTo(4);
    expect(model.limitsMbps[model.names.indexOf('berlin-gw1/cable up')]).toBeCloseTo(8);
  });
});

describe('the score of a change', () => {
  const withTunnel = planOf([fibre, cable], ...carried('berlin', 'paris', 'bulk', [[cable], 100]));
  const without = planOf([fibre], ...carried('berlin', 'paris', 'bulk', [[fibre], 100]));
  const noWay = planOf([fibre]);
  const add = (before: Plan, after: Plan): ChangeCase => ({ kind: 'tunnel-add', key: added, intent, before, after });
  const remove = (before: Plan, after: Plan): ChangeCase => ({ kind: 'tunnel-remove', key: removed, intent, before, after });
  const bad = (count: number, share: number): { count: number; bad: number } => ({ count, bad: count * share });

  const table: [string, ChangeCase, Observed, ChangeScore, RegExp][] = [
    ['an uplink would have been over its limit', moved, observed(both([5, 5, 5, 5], [1, 6, 1, 1])), 'needed', /^without it berlin-gw1\/fibre up would have been at 138 % of its limit of 8 Mbit\/s \(2026-11-29 09:15 UTC\)$/],
    ['nothing came near a limit', moved, observed(both([1, 1, 1, 1], [1, 1, 1, 1])), 'not-needed', /^without it nothing would have been over a limit: berlin-gw1\/fibre up reached 25 % of its limit/],
    ['the limit was reached and not passed', moved, observed(both([5, 5, 5, 5], [3, 3, 3, 3])), 'not-needed', /reached 100 %/],
    ['what it moved to is over its limit now', { ...moved, before: apart, after: together }, observed(both([5, 5, 5, 5], [1, 6, 1, 1])), 'harmful', /^since then berlin-gw1\/fibre up would have been at 138 % .* which it would not have been without it$/],
    ['a limit would have been passed either way', moved, observed(both([0, 0, 0, 0], [12, 12, 12, 12])), 'not-needed', /^with it and without it berlin-gw1\/fibre up/],
    ['a demand would have had no way', add(noWay, withTunnel), observed([series('berlin', 'paris', 'bulk', [0, 0.2, 3, 0])]), 'needed', /^without it berlin>paris bulk would have had no way for 3 Mbit\/s \(2026-11-29 09:30 UTC\)$/],
    ['a way was made for a demand that did not come', add(noWay, withTunnel), observed([series('berlin', 'paris', 'bulk', [0, 0.04, 0, 0]), series('paris', 'berlin', 'bulk', [0, 0, 0, 0])]), 'not-needed', /nothing would have been over a limit/],
    ['the new tunnel only stands by', add(noWay, planOf([fibre, cable])), observed([]), 'unknown', /a reserve is not judged/],
    ['a removed tunnel was not missed', remove(withTunnel, without), observed([series('berlin', 'paris', 'bulk', [0, 1, 1, 0]), series('paris', 'berlin', 'bulk', [0, 0, 0, 0])]), 'needed', /^nobody missed it: berlin-gw1\/fibre up reached 13 %/],
    ['a removed tunnel carried nothing', remove(planOf([fibre, cable]), planOf([fibre])), observed([]), 'needed', /no demand was routed over it/],
    ['a removed tunnel was planned again', remove(withTunnel, without), observed([], { addedAgainAt: START_AT + 3_600_000 }), 'harmful', /^the tunnel was planned again \(2026-11-29 10:00 UTC\)$/],
    ['a demand has no way since the tunnel went', remove(withTunnel, noWay), observed([series('berlin', 'paris', 'bulk', [0, 0, 2, 0])]), 'harmful', /^since then berlin>paris bulk would have had no way/],
    ['a person took it back, whatever the figures say', moved, observed(both([5, 5, 5, 5], [1, 6, 1, 1]), { takenBackAt: START_AT }), 'harmful', /^a person took it back/],
    ['nobody reported', moved, observed(both([1, 1, 1, 1], [null, null, null, null])), 'unknown', /^only 50 % of what its demands offered is known$/],
    ['telemetry has a gap, and what is known is enough', moved, observed(both([5, 5, 5, 5], [null, 6, null, null])), 'needed', /138 %/],
    ['there is no telemetry at all', moved, observed([]), 'unknown', /only 0 %/],
    ['the old way broke the bounds of its class', moved, observed(both([1, 1, 1, 1], [1, 1, 1, 1]), { looks: { before: bad(20, 0.5), after: bad(20, 0) } }), 'needed', /beyond the bounds of its class in 50 % of the time/],
    ['the new way breaks the bounds of its class', moved, observed(both([1, 1, 1, 1], [1, 1, 1, 1]), { looks: { before: bad(20, 0), after: bad(20, 0.5) } }), 'harmful', /the new way was down or beyond/],
    ['too few looks say nothing', moved, observed(both([1, 1, 1, 1], [1, 1, 1, 1]), { looks: { before: bad(2, 1), after: bad(20, 0) } }), 'not-needed', /nothing would have been over/],
  ];
  it.each(table)('when %s', (_when, change, seen, score, reason) => {
    const result = scoreChange(change, seen);
    expect([result.score, result.reason]).toEqual([score, expect.stringMatching(reason)]);
  });

  it('says beforehand what a forecast meant to prevent', () => {
    expect(meantToPrevent(moved, both([5, 5, 5, 5], [1, 1, 6, 1]), START_AT, SLOT_MS)).toBe('berlin-gw1/fibre up would have been at 138 % of its limit of 8 Mbit/s (2026-11-29 09:30 UTC)');
    expect(meantToPrevent(add(noWay, withTunnel), both([], [3]), START_AT, SLOT_MS)).toContain('would have had no way');
    expect(meantToPrevent(moved, both([1], [1]), START_AT, SLOT_MS)).toBe('nothing over a limit: a cheaper, shorter or better way');
    expect(meantToPrevent(remove(withTunnel, without), [], START_AT, SLOT_MS)).toBe('a tunnel that nobody needs');
  });
});

describe('scores of any demands', () => {
  const mbps = fc.array(fc.option(fc.double({ min: 0, max: 30, noNaN: true }), { freq: 10 }), { minLength: 4, maxLength: 4 });
  const demands = fc.tuple(mbps, mbps, mbps).map(([voice, bulk, back]) => [series('berlin', 'paris', 'voice', voice), series('berlin', 'paris', 'bulk', bulk), series('paris', 'berlin', 'bulk', back)]);
  const undone: ChangeCase = { ...moved, before: apart, after: together };

  it('turn round when the change is turned round: what was needed would have been harmful to undo', () => {
    const turned: Record<ChangeScore, ChangeScore> = { needed: 'harmful', harmful: 'needed', 'not-needed': 'not-needed', unknown: 'unknown' };
    fc.assert(fc.property(demands, (all) => scoreChange(undone, observed(all)).score === turned[scoreChange(moved, observed(all)).score]));
  });

  it('do not depend on the order of demands, and are the same twice', () => {
    fc.assert(fc.property(demands, (all) => JSON.stringify(scoreChange(moved, observed(all))) === JSON.stringify(scoreChange(moved, observed(all.toReversed())))));
  });

  it('are never needed or harmful when next to nothing was offered, nor when nothing changed', () => {
    const weak = new Set<ChangeScore>(['not-needed', 'unknown']);
    fc.assert(fc.property(demands, (all) => weak.has(scoreChange(moved, observed(all.map((one) => ({ ...one, mbps: one.mbps.map((value) => (value === null ? null : value / 100)) })))).score)));
    fc.assert(fc.property(demands, (all) => weak.has(scoreChange({ ...moved, after: together }, observed(all)).score)));
  });
});

describe('the record of forecasts', () => {
  const entry = (score: ChangeScore | null, ageDays: number, kind: ScoredKind = 'reroute', commit = `${ageDays}`): LedgerEntry => ({ score, kind, commit, at: START_AT - ageDays * 86_400_000 }) as LedgerEntry;
  const entries = [entry('needed', 1), entry('needed', 2), entry('not-needed', 3), entry('harmful', 4, 'tunnel-remove'), entry('unknown', 5), entry(null, 0), entry('harmful', 31), entry('needed', 4, 'split')];

  it('counts what was judged within 30 days, overall, by kind and by commit', () => {
    const regret = regretOf(entries, START_AT);
    expect(regret).toMatchObject({ scored: 5, needed: 3, notNeeded: 1, harmful: 1, unknown: 1, commits: 4, windowDays: 30, recentShareNeeded: 0.6 });
    expect(regret.byKind['tunnel-remove']).toEqual({ ...NO_COUNTS, scored: 1, harmful: 1, commits: 1 });
    expect(regretLine(regret)).toBe('Of 5 forecast-driven changes judged in 30 days 3 were needed, 1 not, 1 harmful (foremesh forecast ledger).');
  });

  it('is no line, and no share, while nothing was judged', () => {
    const regret = regretOf([entry(null, 1), entry('unknown', 1)], START_AT);
    expect(regret).toMatchObject({ scored: 0, recentShareNeeded: null, unknown: 1 });
    expect(regretLine(regret)).toBeNull();
  });
});
