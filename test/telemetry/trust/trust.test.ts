import { assert, constantFrom, double, integer, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classId, type DemandSeries, type NodeId, type Observation, type SiteId } from '../../../src/model/index.ts';
import { boundObservation, withoutUntrusted } from '../../../src/telemetry/trust/apply-trust.ts';
import { countedWindows } from '../../../src/telemetry/trust/counted.ts';
import { driftsOf } from '../../../src/telemetry/trust/drift-gate.ts';
import { judgeWindow, type WindowJudgement } from '../../../src/telemetry/trust/judge-window.ts';
import { CLEAN_WINDOWS_NEEDED, nextTrust, NO_TRUST_STATE, quarantinesOf, withDrift, type TrustEvent, type TrustState } from '../../../src/telemetry/trust/quarantine.ts';
import { CountedMesh, inflated, node } from './mesh.ts';

const WINDOWS = 12;
const DAY_MS = 86_400_000;

interface Run {
  state: TrustState;
  events: TrustEvent[];
  judgements: WindowJudgement[];
}

/** Judges windows one after the other, as the engine does. */
function judge(mesh: CountedMesh, from = 100, until = from + WINDOWS, start: TrustState = NO_TRUST_STATE): Run {
  const counted = countedWindows(mesh.evidence(from - 1, until + 1));
  let state = start;
  const [events, judgements]: [TrustEvent[], WindowJudgement[]] = [[], []];
  for (let window = from; window < until; window++) {
    const distrusted = new Set<NodeId>(quarantinesOf(state).map((one) => one.node));
    const judgement = judgeWindow({ window, counted, topology: mesh.topology, distrusted, lossAt: () => mesh.lossRatio });
    judgements.push(judgement);
    const next = nextTrust(state, judgement);
    state = next.state;
    events.push(...next.events);
  }
  return { state, events, judgements };
}

const quarantined = (run: { state: TrustState }): string[] => quarantinesOf(run.state).map((one) => one.node);

/** What is left of everybody's demand in the last window, Mbit/s. */
function demandAfter(mesh: CountedMesh, { judgements }: Run, window: number): Map<SiteId, number> {
  const evidence = mesh.evidence(window, window + 1);
  const demands = evidence.offered.map(({ from, to, bytes }): DemandSeries => ({ from, to, classId: classId('bulk'), mbps: [(bytes * 8) / mesh.windowMs / 1000] }));
  const observation: Observation = { observedAt: 0, slotMs: mesh.windowMs, lastSlotEndAt: (window + 1) * mesh.windowMs, demands, paths: [], tunnels: [], nodes: [] };
  const bound = boundObservation(observation, judgements.flatMap(({ bounds }) => bounds), mesh.windowMs);
  const sums = new Map<SiteId, number>();
  for (const { from, mbps } of bound.demands) sums.set(from, (sums.get(from) ?? 0) + mbps[0]!);
  return sums;
}

function shareOf(sums: Map<SiteId, number>, sites: readonly SiteId[]): number {
  const total = [...sums.values()].reduce((sum, value) => sum + value, 0);
  return sites.reduce((sum, site) => sum + (sums.get(site) ?? 0), 0) / total;
}

function trueSums(mesh: CountedMesh, window: number): Map<SiteId, number> {
  return new Map(mesh.sites.map((from) => [from, mesh.sites.filter((to) => to !== from).reduce((sum, to) => sum + mesh.trueMbps(from, to, window), 0)]));
}

describe('gateways against each other', () => {
  it.each([
    ['nothing unusual', () => undefined],
    ['a loss of 15 %', (mesh: CountedMesh) => void (mesh.lossRatio = 0.15)],
    ['four times as much traffic at all', (mesh: CountedMesh) => void (mesh.factor = () => 4)],
    ['uplinks that are full, so that half of it never arrives', (mesh: CountedMesh) => void ((mesh.uplinkMbps = 100), (mesh.factor = () => 20))],
    ['a gateway that is away', (mesh: CountedMesh) => void mesh.lies.set(node(mesh.sites[0]!), () => null)],
    ['a gateway that counts for half of the time', (mesh: CountedMesh) => void mesh.lies.set(node(mesh.sites[0]!), (sample) => ('bytes' in sample ? sample : { ...sample, countedMs: sample.countedMs / 2, rxBytes: sample.rxBytes / 2, txBytes: sample.txBytes / 2 }))],
    ['a clock that is a window behind', (mesh: CountedMesh) => void mesh.lies.set(node(mesh.sites[0]!), (sample) => ({ ...sample, window: sample.window - 1 }))],
  ])('are believed with %s', (_name, change) => {
    const mesh = new CountedMesh(5);
    change(mesh);
    const run = judge(mesh);
    expect(run.events).toEqual([]);
    expect(run.judgements.flatMap(({ bounds }) => bounds)).toEqual([]);
  });

  it.each([
    ['everything a billion times', inflated(1e9)],
    ['offered traffic alone', inflated(3, 'offered')],
    ['the counters of its tunnels alone', inflated(2, 'tunnels')],
    ['half of what it receives and sends', inflated(0.4, 'tunnels')],
  ])('show a gateway that reports %s, and no other', (_name, lie) => {
    const mesh = new CountedMesh(5);
    mesh.lies.set(node(mesh.sites[2]!), lie);
    const run = judge(mesh);
    expect(quarantined(run)).toEqual(['s2-gw1']);
    expect(run.events.map(({ kind }) => kind)).toEqual(['quarantined']);
    expect(run.state.spans.map(({ site, untilAt }) => [site, untilAt])).toEqual([['s2', null]]);
  });

  it('lets one liar of five or two of ten have no more than 5 points of the traffic than they have, whatever they say', () => {
    assert(
      property(constantFrom([5, 1], [10, 2]), double({ min: 0, max: 9, noNaN: true }), constantFrom('all' as const, 'offered' as const), integer({ min: 50, max: 5000 }), ([sites, liars], exponent, what, from) => {
        const mesh = new CountedMesh(sites);
        const lying = mesh.sites.slice(0, liars);
        for (const site of lying) mesh.lies.set(node(site), inflated(10 ** exponent, what));
        const run = judge(mesh, from, from + 6);
        const gain = shareOf(demandAfter(mesh, run, from + 5), lying) - shareOf(trueSums(mesh, from + 5), lying);
        expect(gain).toBeLessThanOrEqual(0.05);
        expect(quarantined(run).filter((name) => !lying.some((site) => node(site) === name))).toEqual([]);
      }),
      { numRuns: 60, seed: 7 },
    );
  });

  it('leaves what the others report as it was when one lies', () => {
    const mesh = new CountedMesh(5);
    mesh.lies.set(node(mesh.sites[0]!), inflated(1e9));
    const run = judge(mesh);
    const after = demandAfter(mesh, run, 111);
    const honest = trueSums(mesh, 111);
    for (const site of mesh.sites.slice(1)) expect(after.get(site)).toBeCloseTo(honest.get(site)!, 6);
  });

  it('does not let a gateway that denies what it received accuse the others', () => {
    const mesh = new CountedMesh(5);
    mesh.lies.set(node(mesh.sites[0]!), (sample) => ('bytes' in sample ? sample : { ...sample, rxBytes: 0 }));
    const run = judge(mesh);
    expect(quarantined(run)).toEqual(['s0-gw1']);
    const after = demandAfter(mesh, run, 111);
    for (const [site, mbps] of trueSums(mesh, 111)) if (site !== 's0') expect(after.get(site)).toBeCloseTo(mbps, 6);
  });

  it('blames neither of two that contradict only each other, and takes what arrived', () => {
    const mesh = new CountedMesh(2);
    mesh.lies.set(node(mesh.sites[0]!), inflated(10, 'tunnels'));
    expect(quarantined(judge(mesh))).toEqual([]);
  });

  it('has no opinion of what no tunnel can have carried, up to what uplinks carry', () => {
    const mesh = new CountedMesh(5);
    mesh.topology.lastHops.delete('s0>s1');
    mesh.lies.set(node(mesh.sites[0]!), (sample) => ('bytes' in sample && sample.to === 's1' ? { ...sample, bytes: sample.bytes * 10 } : sample));
    const run = judge(mesh);
    expect(run.events).toEqual([]);
    expect(run.judgements.flatMap(({ bounds }) => bounds)).toEqual([]);
  });

  it('does not hold against a site that what it offers dies on a dead path', () => {
    const mesh = new CountedMesh(5);
    mesh.lossRatio = 1;
    const counted = countedWindows(mesh.evidence(99, 102));
    const judgement = judgeWindow({ window: 100, counted, topology: mesh.topology, distrusted: new Set(), isAlive: () => false });
    expect(judgement.bounds).toEqual([]);
    expect(judgement.nodes.filter(({ kind, verdict }) => kind === 'offered' && verdict === 'contradicted')).toEqual([]);
  });

  it('releases a gateway after a clean time, not before, and learns from it again from then on', () => {
    const mesh = new CountedMesh(5);
    mesh.lies.set(node(mesh.sites[0]!), inflated(5));
    const bad = judge(mesh, 100, 106);
    mesh.lies.clear();
    const early = judge(mesh, 106, 106 + CLEAN_WINDOWS_NEEDED - 1, bad.state);
    expect(quarantined(early)).toEqual(['s0-gw1']);
    const late = judge(mesh, 106 + CLEAN_WINDOWS_NEEDED - 1, 106 + CLEAN_WINDOWS_NEEDED, early.state);
    expect(late.events.map(({ kind, node: of }) => [kind, of])).toEqual([['released', 's0-gw1']]);
    expect(late.state.spans).toMatchObject([{ site: 's0', fromAt: 100 * mesh.windowMs, untilAt: (106 + CLEAN_WINDOWS_NEEDED) * mesh.windowMs }]);
  });

  it('does not forgive for silence', () => {
    const mesh = new CountedMesh(5);
    mesh.lies.set(node(mesh.sites[0]!), inflated(5));
    const bad = judge(mesh, 100, 106);
    mesh.lies.set(node(mesh.sites[0]!), () => null);
    expect(quarantined(judge(mesh, 106, 160, bad.state))).toEqual(['s0-gw1']);
  });

  it('does not convict for one bad window', () => {
    const mesh = new CountedMesh(5);
    mesh.lies.set(node(mesh.sites[0]!), (sample) => (sample.window === 103 ? inflated(5)(sample) : sample));
    const run = judge(mesh);
    expect(run.events).toEqual([]);
    expect(run.state.spans).toMatchObject([{ site: 's0', fromAt: 103 * mesh.windowMs, untilAt: 104 * mesh.windowMs }]);
  });
});

describe('slow poisoning', () => {
  const days = (mesh: CountedMesh, count: number): ReturnType<typeof driftsOf> => driftsOf(mesh.evidence(0, count), mesh.topology);

  it.each(['all', 'offered', 'tunnels'] as const)('of one per cent a day by one agent (%s) stops learning from its site before it has moved by a seventh', (what) => {
    const mesh = new CountedMesh(5, DAY_MS);
    mesh.lies.set(node(mesh.sites[1]!), inflated((day) => 1.01 ** Math.max(0, day - 5), what));
    let found = 0;
    for (let day = 5; day <= 60 && found === 0; day++) if (days(mesh, day).length > 0) found = day;
    expect(1.01 ** (found - 5)).toBeLessThan(1.15);
    const [drift] = days(mesh, 60);
    expect(drift).toMatchObject({ site: 's1' });
    const { state, events } = withDrift(NO_TRUST_STATE, days(mesh, 60), 60 * DAY_MS);
    expect(events).toMatchObject([{ kind: 'quarantined', node: 's1-gw1' }]);
    const history: DemandSeries[] = mesh.sites.flatMap((from) => mesh.sites.filter((to) => to !== from).map((to) => ({ from, to, classId: classId('bulk'), mbps: Array<number>(60).fill(1) })));
    const learned = withoutUntrusted(history, 60 * DAY_MS, DAY_MS, state.spans);
    for (const { from, mbps } of learned) expect(mbps.filter((value) => value !== null).length).toBe(from === 's1' ? drift!.fromAt / DAY_MS : 60);
    expect(1.01 ** (drift!.fromAt / DAY_MS - 5)).toBeLessThan(1.04);
  });

  it.each([1.01, 0.99])('is not what growth (×%f a day for 60 days) looks like that both ends see', (perDay) => {
    const mesh = new CountedMesh(5, DAY_MS);
    mesh.factor = (day) => perDay ** day;
    for (let count = 5; count <= 60; count += 5) expect(days(mesh, count)).toEqual([]);
  });

  it('is found by two of ten', () => {
    const mesh = new CountedMesh(10, DAY_MS);
    for (const site of mesh.sites.slice(0, 2)) mesh.lies.set(node(site), inflated((day) => 1.01 ** day));
    expect(days(mesh, 30).map(({ site }) => site)).toEqual(['s0', 's1']);
  });
});
