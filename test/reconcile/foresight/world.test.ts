import { describe, expect, it } from 'vitest';
import { Carrier } from '../../../src/reconcile/foresight/carry.ts';
import { Network, type Policy } from '../../../src/reconcile/foresight/network.ts';
import { slidingMost } from '../../../src/reconcile/foresight/pair-outlook.ts';
import { follow, followRule, TALLY } from '../../../src/reconcile/foresight/pair-trials.ts';
import { findPeaks } from '../../../src/reconcile/foresight/peaks.ts';
import { createDirectPlacement, createPlannerPlacement } from '../../../src/reconcile/foresight/placement.ts';
import { createReactive, REACTIVE_TEXTBOOK } from '../../../src/reconcile/foresight/reactive.ts';
import { replay } from '../../../src/reconcile/foresight/replay.ts';
import { readTopology, roundTripMs } from '../../../src/reconcile/foresight/topology.ts';
import { oraclePolicy } from '../../../src/reconcile/foresight/tune.ts';
import { buildWorld, unitsFor, WORLD, type World } from '../../../src/reconcile/foresight/world.ts';
import { demandTable, tableOf, THREE_CITIES } from './worlds.ts';

const HOUR_MS = 3_600_000;

/** One pair that wants 10 Mbit/s and 40 in slots 20 to 31; a tunnel carries what it wants on average, halved. */
function stepWorld(): World {
  const series = Float32Array.from({ length: 60 }, (_, slot) => (slot >= 20 && slot < 32 ? 40 : 10));
  return { ...buildWorld(tableOf(['berlin>oslo'], [series]), THREE_CITIES, 60), unitMbps: 20, uplinkMbps: new Float64Array(4).fill(1000) };
}

const idle: Policy = { name: 'idle', decide: () => undefined };

describe('the mesh', () => {
  it('joins both directions of a pair, and leaves out ends without a place', () => {
    const world = buildWorld(demandTable(['berlin', 'oslo', 'atlantis'], 50, 'a'), THREE_CITIES, 40);
    expect(world.sites).toEqual(['berlin', 'oslo']);
    expect(world.pairs.map(({ name }) => name)).toEqual(['berlin–oslo']);
    expect(world.rttMs[0]).toBeCloseTo(roundTripMs(THREE_CITIES.nodes.get('berlin')!, THREE_CITIES.nodes.get('oslo')!));
    expect(world.rttMs[0]).toBeGreaterThan(15);
    expect(world.rttMs[0]).toBeLessThan(20);
  });

  it('is sized by what was learned from alone', () => {
    const table = demandTable(['berlin', 'oslo', 'madrid'], 400, 'b');
    const later = { ...table, values: table.values.map((series) => series.map((mbps, slot) => (slot < 300 ? mbps : 1000 * mbps))) };
    const sizes = ({ unitMbps, uplinkMbps, tunnelSlots, autoApply }: World): unknown => ({ unitMbps, uplinkMbps, tunnelSlots, autoApply });
    expect(sizes(buildWorld(later, THREE_CITIES, 300))).toEqual(sizes(buildWorld(table, THREE_CITIES, 300)));
  });

  it('carries never more than is wanted, than tunnels hold, or than uplinks do', () => {
    const world = { ...buildWorld(demandTable(['berlin', 'oslo', 'madrid'], 300, 'c'), THREE_CITIES, 200), uplinkMbps: Float64Array.from([60, 30, 90, 20, 50, 40]) };
    const carrier = new Carrier(world);
    for (let slot = 0; slot < 300; slot += 7) {
      const open = Int32Array.from({ length: 6 }, (_, link) => (slot * (link + 3)) % 4);
      const { demandMbps, carriedMbps, openMbps, sentMbps } = carrier.carry(slot, open, Float64Array.from({ length: 6 }, (_, at) => ((slot + at) % 5) / 5));
      let sent = 0;
      for (const [pair] of world.pairs.entries()) {
        for (const at of [2 * pair, 2 * pair + 1]) expect(carriedMbps[at]!).toBeLessThanOrEqual(demandMbps[at]! + 1e-9);
        expect(carriedMbps[2 * pair]! + carriedMbps[2 * pair + 1]!).toBeLessThanOrEqual(openMbps[pair]! + 1e-9);
        sent += carriedMbps[2 * pair]! + carriedMbps[2 * pair + 1]!;
      }
      for (let site = 0; site < 3; site++) {
        const out = world.pairs.reduce((sum, { a, b }, pair) => sum + (a === site ? carriedMbps[2 * pair]! : b === site ? carriedMbps[2 * pair + 1]! : 0), 0);
        expect(out).toBeLessThanOrEqual(world.uplinkMbps[2 * site]! + world.uplinkMbps[2 * site + 1]! + 1e-9);
      }
      expect(sentMbps[0]! + sentMbps[1]!).toBeCloseTo(sent);
    }
  });

  it('opens after the set-up time, leaves what is beyond the budget to a person, and closes at once', () => {
    const world = { ...stepWorld(), tunnelSlots: new Int32Array(2).fill(100), autoApply: { perDecision: 4, perHour: 20 } };
    const network = new Network(world, Int32Array.from([1, 0]), 'seed');
    network.order(Int32Array.from([10, 0]), 1, 0);
    expect([network.open[0], network.standing[0], network.changes, network.proposals]).toEqual([1, 5, 4, 1]);
    network.advance(WORLD.setUpMs);
    expect(network.open[0]).toBe(5);
    network.advance(100 * HOUR_MS);
    network.advance(200 * HOUR_MS);
    expect(network.open[0]).toBe(10);
    network.order(Int32Array.from([8, 0]), 2, 200 * HOUR_MS);
    expect([network.open[0], network.changes]).toEqual([8, 11]);
  });

  it('has no more tunnels than its gateways have slots', () => {
    const network = new Network({ ...stepWorld(), tunnelSlots: Int32Array.from([3, 9]) }, Int32Array.from([1, 0]), 'seed');
    network.order(Int32Array.from([4, 0]), 1, 0);
    expect([network.standing[0], network.refused]).toEqual([3, 1]);
  });
});

describe('a replay', () => {
  it('counts what a rise costs one that reacts, to the second', () => {
    const figures = replay({ world: stepWorld(), policy: createReactive(stepWorld(), REACTIVE_TEXTBOOK), fromSlot: 10, untilSlot: 60, seed: 's', peaks: [] });
    // a whole slot until it is known, 75 s until there are three tunnels instead of one; 20 Mbit/s of 40 are missing meanwhile
    expect(figures.unservedMbit).toBeCloseTo(20 * (300 + 75));
    expect(figures.overCapacityMinutes).toBeCloseTo(375 / 60);
    expect(figures.tunnelChanges).toBe(4);
    expect(figures.demandMbit).toBeCloseTo(300 * (12 * 40 + 37 * 10));
  });

  it('finds nothing missing where the future is known', () => {
    const world = stepWorld();
    const figures = replay({ world, policy: oraclePolicy(world, { openAheadMs: HOUR_MS, keepAheadMs: HOUR_MS }, createPlannerPlacement(world)), fromSlot: 10, untilSlot: 60, seed: 's', peaks: findPeaks({ ...world, slotMs: 2 * HOUR_MS }, 10, 60) });
    expect([figures.unservedMbit, figures.slaMinutes]).toEqual([0, 0]);
  });

  it('tells how long before a peak its tunnels were up, or how long after', () => {
    const series = Float32Array.from({ length: 200 }, (_, slot) => (slot >= 120 && slot < 132 ? 40 : 10));
    const world = { ...buildWorld(tableOf(['berlin>oslo'], [series]), THREE_CITIES, 200), unitMbps: 20, uplinkMbps: new Float64Array(4).fill(1000) };
    const peaks = findPeaks(world, 100, 200);
    expect(peaks).toEqual([{ pair: 0, slot: 120, units: unitsFor(40, 20), endSlot: 132 }]);
    const lead = (policy: Policy): number => replay({ world, policy, fromSlot: 100, untilSlot: 200, seed: 's', peaks }).lead.minutesP50;
    expect(lead(createReactive(world, REACTIVE_TEXTBOOK))).toBeCloseTo(-6.25);
    expect(lead(oraclePolicy(world, { openAheadMs: HOUR_MS, keepAheadMs: HOUR_MS }, createDirectPlacement(world)))).toBeCloseTo(55 - 1.25);
    expect(lead(idle)).toBeCloseTo(-60);
  });

  it('serves and misses together what was wanted, and the oracle misses least, on meshes of any seed', () => {
    for (const seed of ['one', 'two', 'three']) {
      const table = demandTable(['berlin', 'oslo', 'madrid'], 900, seed);
      const world = buildWorld(table, THREE_CITIES, 600);
      const run = (policy: Policy): ReturnType<typeof replay> => replay({ world, policy, fromSlot: 600, untilSlot: 900, seed, peaks: [] });
      const wanted = table.values.reduce((sum, series) => sum + series.subarray(601).reduce((total, mbps) => total + mbps * 300, 0), 0);
      const oracle = run(oraclePolicy(world, { openAheadMs: HOUR_MS, keepAheadMs: HOUR_MS }, createPlannerPlacement(world)));
      for (const figures of [oracle, run(idle), run(createReactive(world, REACTIVE_TEXTBOOK))]) {
        expect(figures.demandMbit / wanted).toBeCloseTo(1, 4);
        expect(figures.unservedMbit).toBeGreaterThanOrEqual(oracle.unservedMbit - 1e-6);
        expect(figures.unservedMbit).toBeLessThanOrEqual(figures.demandMbit);
      }
    }
  });

  it('does not show the future to a rule that reacts', () => {
    const table = demandTable(['berlin', 'oslo', 'madrid'], 700, 'future');
    const changed = { ...table, values: table.values.map((series) => series.map((mbps, slot) => (slot < 650 ? mbps : 3 * mbps))) };
    const orders = (matrix: typeof table): string[] => {
      const world = buildWorld(matrix, THREE_CITIES, 600);
      const inner = createReactive(world, REACTIVE_TEXTBOOK);
      const seen: string[] = [];
      const policy: Policy = {
        name: 'spy',
        decide: (moment, wanted, shares) => {
          inner.decide(moment, wanted, shares);
          seen.push([...wanted].join(' '));
        },
      };
      replay({ world, policy, fromSlot: 600, untilSlot: 700, seed: 's', peaks: [] });
      return seen;
    };
    const [one, other] = [orders(table), orders(changed)];
    expect(other.slice(0, 50)).toEqual(one.slice(0, 50)); // the first decision after slot 650 is the 51st
    expect(other).not.toEqual(one);
  });

  it('takes unknown demand, pairs without any, and a mesh of two sites', () => {
    const series = Float32Array.from({ length: 100 }, (_, slot) => (slot % 3 === 0 ? Number.NaN : slot % 5));
    const world = buildWorld(tableOf(['berlin>oslo', 'oslo>berlin'], [series, new Float32Array(100).fill(Number.NaN)]), THREE_CITIES, 80);
    for (const policy of [createReactive(world, REACTIVE_TEXTBOOK), oraclePolicy(world, { openAheadMs: HOUR_MS, keepAheadMs: HOUR_MS }, createPlannerPlacement(world))]) {
      const figures = replay({ world, policy, fromSlot: 79, untilSlot: 100, seed: 's', peaks: [] });
      expect(Object.values(figures).filter((value) => typeof value === 'number').every((value) => Number.isFinite(value))).toBe(true);
    }
  });
});

describe('one pair alone', () => {
  it('is followed as the whole mesh would carry it', () => {
    const world = stepWorld();
    const demand = world.pairs[0]!.forward.subarray(10);
    const units = Int32Array.from(demand, (mbps) => unitsFor((mbps * WORLD.fullAt) / 0.8, 20));
    const tally = new Float64Array(TALLY.width);
    expect(follow(world, demand, units, units, 0, 20, 1, tally, 0)).toBe(3);
    follow(world, demand, units, units, 20, demand.length - 1, 3, tally, 0); // in two parts, as a night divides it
    expect(tally[TALLY.unservedMbit]).toBeCloseTo(20 * 375);
    expect(tally[TALLY.changes]).toBe(4);
    const figures = replay({ world, policy: createReactive(world, { openAbove: 0.8, closeBelow: 0.8, holdMs: 0 }), fromSlot: 10, untilSlot: 60, seed: 's', peaks: [] });
    expect(tally[TALLY.hours]).toBeCloseTo(figures.tunnelHours);
    expect(tally[TALLY.slaMinutes]).toBeCloseTo(figures.slaMinutes);
  });

  it('opens what one decision may, and the rest when a person has had the time to approve it', () => {
    const world = { ...stepWorld(), autoApply: { perDecision: 2, perHour: 10 } };
    const demand = new Float32Array(10).fill(300);
    const units = new Int32Array(10).fill(20);
    const after = (slots: number): number => follow(world, demand, units, units, 0, slots, 1, new Float64Array(TALLY.width), 0);
    expect([1, 2, 3, 4, 5, 6].map(after)).toEqual([3, 5, 7, 9, 20, 20]); // 20 minutes in slots of five
  });

  it('keeps its tunnels under a rule while nobody knows what it wants', () => {
    const demand = Float32Array.from([30, Number.NaN, Number.NaN, 10, 10]);
    const tally = new Float64Array(TALLY.width);
    followRule(stepWorld(), demand, { openAbove: WORLD.fullAt, closeBelow: WORLD.fullAt, holdMs: 0 }, tally);
    // closed once, after the first slot in which 10 was seen
    expect([tally[TALLY.changes], tally[TALLY.unservedMbit]]).toEqual([1, 0]);
    expect(tally[TALLY.hours]! * 3600).toBeCloseTo(2 * 3 * 300 + 2 * 30 + 270);
  });

  it('has the most of the last values in a sliding window', () => {
    const values = Float64Array.from([3, 1, 4, 1, 5, 9, 2, 6, 5, 3]);
    for (const width of [1, 2, 3, 20]) expect([...slidingMost(values, width)]).toEqual([...values].map((_, index) => Math.max(...values.subarray(Math.max(0, index + 1 - width), index + 1))));
  });
});

describe('a topology', () => {
  it.each([
    [{}, 'no list of nodes'],
    [{ nodes: [] }, 'no list of nodes'],
    [{ nodes: [{ lat: 1, lon: 2 }] }, '/nodes/0: it has neither name nor id'],
    [{ nodes: [{ name: 'a', lat: 1, lon: 2 }, { name: 'b', lat: '1', lon: 2 }] }, '/nodes/1: b has no lat'],
    [{ nodes: [{ name: 'a', lat: Number.NaN, lon: 2 }] }, 'a has no lat'],
    [{ nodes: [{ id: 1, lat: 1, lon: 2 }, { id: 1, lat: 1, lon: 2 }] }, '1 is there twice'],
    [null, 'no list of nodes'],
  ])('says what is wrong with %j', (value, what) => {
    expect(() => readTopology(value, 'cities.json')).toThrow(what);
  });
});
