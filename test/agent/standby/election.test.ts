import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide, firstStanding, holdDownOf, isUnheard, noteHeard, silenceMaxMs, type Heard, type MemberState, type Scene, type Standing } from '../../../agent/standby/index.ts';
import { nodeId, type NodeId } from '../../../src/model/index.ts';

const [GW1, GW2, GW3] = ['gw1', 'gw2', 'gw3'].map((name) => nodeId(name)) as [NodeId, NodeId, NodeId];
const HEARTBEAT = { intervalMs: 50, missedMax: 3, holdDownMs: 1_000 };
const SILENCE_MS = silenceMaxMs(HEARTBEAT);
const HOLD_DOWN_MAX_MS = 8_000;

describe('whose the LAN address is', () => {
  it('is taken by the preferred one at once, and by the next only when that one does not', () => {
    expect(whenTaken(GW1, { heard: [stateOf(GW2)] })).toBe(SILENCE_MS);
    expect(whenTaken(GW2, { heard: [stateOf(GW1)] })).toBe(2 * SILENCE_MS);
    expect(whenTaken(GW3, { heard: [stateOf(GW1), stateOf(GW2)] })).toBe(3 * SILENCE_MS);
  });

  it('is not taken from an owner that is heard', () => {
    expect(whenTaken(GW2, { heard: [stateOf(GW1, { holds: true })] })).toBeNull();
  });

  it('is given up at once without LAN, and taken again only after listening', () => {
    const standing = decide({ ...firstStanding(true), lanSinceMs: 0, wellSinceMs: 0 }, sceneOf(GW1, 10_000, { isLanUp: false }));
    expect(standing).toEqual(firstStanding(false));
    expect(decide(standing, sceneOf(GW1, 10_001, {})).holds).toBe(false);
  });

  it.each<[string, Partial<MemberState>, Partial<MemberState>, boolean]>([
    ['preferred keeps it', {}, {}, true],
    ['one without tunnels gives it to one with some', { reach: 0 }, {}, false],
    ['one with tunnels keeps it against a preferred one without', { preferred: GW2 }, { preferred: GW2, reach: 0 }, true],
    ['one with an older config gives it to whom the newer one prefers', { generation: 4 }, { generation: 5, preferred: GW2 }, false],
    ['one with the newer config does not', { generation: 5 }, { generation: 4, preferred: GW2 }, true],
  ])('of two owners, %s', (_, self, other, keeps) => {
    const before = { ...firstStanding(true), lanSinceMs: 0, wellSinceMs: 0 };
    expect(decide(before, sceneOf(GW1, 10_000, { self, heard: [stateOf(GW2, { holds: true, ...other })] })).holds).toBe(keeps);
  });

  it('comes back to the preferred one after the hold-down time, when it reaches as many sites', () => {
    expect(whenTaken(GW1, { heard: [stateOf(GW2, { holds: true })] })).toBe(HEARTBEAT.holdDownMs);
    expect(whenTaken(GW1, { self: { reach: 2 }, heard: [stateOf(GW2, { holds: true })] })).toBeNull();
  });

  it('comes to the preferred one after one silence, when the owner has it only because it was the first to begin', () => {
    expect(whenTaken(GW1, { heard: [stateOf(GW2, { holds: true, isInterim: true })] })).toBe(SILENCE_MS);
    const alone = decide(decide({ ...firstStanding(false), lanSinceMs: 0 }, sceneOf(GW2, 10_000, {})), sceneOf(GW2, 10_000 + SILENCE_MS, {}));
    expect([alone.holds, alone.isInterim]).toEqual([true, true]);
    const knowing = decide({ ...firstStanding(false), lanSinceMs: 0, knowsPreferred: true }, sceneOf(GW2, 10_000, {}));
    expect(decide(knowing, sceneOf(GW2, 10_000 + SILENCE_MS, {})).isInterim).toBe(false);
  });

  it('moves at once when a newer config says so and both are well', () => {
    const before: Standing = { ...firstStanding(false), lanSinceMs: 0, wellSinceMs: 0 };
    const owner = stateOf(GW1, { holds: true, generation: 7 });
    expect(decide(before, sceneOf(GW2, 60_000, { self: { generation: 7 }, heard: [owner] })).holds).toBe(false);
    expect(decide(before, sceneOf(GW2, 60_000, { self: { generation: 8, preferred: GW2 }, heard: [owner] })).holds).toBe(true);
  });

  it('is taken from an owner whose tunnels are all gone, or that reaches fewer sites, after two silences', () => {
    expect(whenTaken(GW2, { heard: [stateOf(GW1, { holds: true, reach: 2 })] })).toBe(2 * SILENCE_MS);
    expect(whenTaken(GW2, { self: { reach: 2 }, heard: [stateOf(GW1, { holds: true, reach: 2 })] })).toBeNull();
    expect(whenTaken(GW2, { heard: [stateOf(GW1, { holds: true, reach: 0 })] })).toBe(2 * SILENCE_MS);
    expect(whenTaken(GW2, { self: { reach: 0 }, heard: [stateOf(GW1, { holds: true, reach: 0 })] })).toBeNull();
  });
});

describe('a LAN that is broken one way', () => {
  const owner = { ...firstStanding(true), lanSinceMs: 0, wellSinceMs: 0 };
  const sceneWith = (other: Partial<MemberState>, deafForMs: number | null): Scene => ({ ...sceneOf(GW1, 10_000, {}), heard: [heardAt(10_000, stateOf(GW2, other), deafForMs)] });

  it.each<[string, number | null, boolean]>([
    ['keeps it against one that hears it', null, true],
    ['keeps it for a silence against one that does not hear it yet, as after a LAN that healed', SILENCE_MS - 1, true],
    ['gives it up to one that has not heard it for a silence, since that one cannot give way', SILENCE_MS, false],
  ])('finds that the preferred owner %s', (_, deafForMs, keeps) => {
    expect(decide(owner, sceneWith({ holds: true, hears: [] }, deafForMs)).holds).toBe(keeps);
  });

  it('has who is not heard keep off an owner that would not give way, however long it is well', () => {
    const before: Standing = { ...firstStanding(false), lanSinceMs: 0, wellSinceMs: 0 };
    expect(decide(before, sceneWith({ holds: true, reach: 0, hears: [] }, SILENCE_MS))).toMatchObject({ holds: false, wellSinceMs: null });
    expect(decide(before, sceneWith({ holds: true }, null)).holds).toBe(true);
  });

  it('tells one that nobody hears from one that is alone, and from one that somebody hears', () => {
    expect(isUnheard(sceneOf(GW1, 10_000, {}))).toBe(false);
    expect(isUnheard(sceneWith({}, SILENCE_MS))).toBe(true);
    expect(isUnheard({ ...sceneWith({}, SILENCE_MS), heard: [heardAt(10_000, stateOf(GW2), SILENCE_MS), heardAt(10_000, stateOf(GW3))] })).toBe(false);
  });

  it('counts from the first words that leave us out, and forgets with the first that name us, or with a silence', () => {
    const note = (before: Heard | null, nowMs: number, hears: NodeId[] | null): Heard => noteHeard(before, stateOf(GW2, { hears }), { self: GW1, nowMs, untilMs: nowMs + 100 });
    const first = note(null, 1_000, []);
    expect(note(first, 1_050, []).deafSinceMs).toBe(1_000);
    expect(note(first, 1_050, [GW1]).deafSinceMs).toBeNull();
    expect(note(first, 1_050, null).deafSinceMs).toBeNull();
    expect(note(first, 1_200, []).deafSinceMs).toBe(1_200);
  });
});

describe('the flap budget of the LAN address', () => {
  it('doubles the hold-down time with each further fall, up to its maximum, and forgets falls in time', () => {
    const site = new Site([GW1, GW2], 1);
    site.pass(5_000);
    const returnsMs = [1, 2, 3, 4, 5, 6].map(() => site.fallAndReturn(0));
    for (const [index, wantedMs] of [1_000, 2_000, 4_000, 8_000, 8_000, 8_000].entries()) {
      expect(returnsMs[index]).toBeGreaterThanOrEqual(wantedMs);
      expect(returnsMs[index]).toBeLessThan(wantedMs + 3 * SILENCE_MS);
    }
    site.pass(4 * 3_600_000, 50);
    expect(site.fallAndReturn(0)).toBeLessThan(1_000 + 3 * SILENCE_MS);
  });

  it('never delays leaving a gateway that is gone', () => {
    const site = new Site([GW1, GW2], 1);
    site.pass(5_000);
    for (let fall = 0; fall < 5; fall++) {
      site.happen({ kind: 'die', node: 0, thenMs: 0 });
      site.pass(SILENCE_MS + 2 * STEP_MS);
      expect(site.owners()).toEqual([GW2]);
      site.happen({ kind: 'boot', node: 0, thenMs: 0 });
      site.pass(HOLD_DOWN_MAX_MS + 3 * SILENCE_MS);
      expect(site.owners()).toEqual([GW1]);
    }
  });

  it('does not count moves that the plan asked for', () => {
    const site = new Site([GW1, GW2], 1);
    site.pass(5_000);
    for (const node of [1, 0, 1, 0, 1, 0]) {
      site.happen({ kind: 'plan', node, delaysMs: [0, 0, 0], thenMs: 0 });
      site.pass(2_000);
    }
    expect(site.fallAndReturn(0)).toBeLessThan(HEARTBEAT.holdDownMs + 3 * SILENCE_MS);
  });
});

describe('gateways of one site, whatever happens to them', () => {
  it('agree on exactly one owner in each part of the LAN within a bounded time after the last event', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 3 }), fc.array(eventArbitrary, { maxLength: 25 }), fc.nat(), (count, events, seed) => {
        const site = new Site([GW1, GW2, GW3].slice(0, count), seed);
        for (const event of events) {
          site.happen(event);
          site.pass(event.thenMs);
        }
        site.pass(SETTLED_MS);
        for (const part of site.parts()) expect(site.owners().filter((node) => part.includes(node)), JSON.stringify(part)).toHaveLength(1);
        expect(site.owners().every((node) => site.parts().flat().includes(node))).toBe(true); // none without LAN, none dead
      }),
      { numRuns: 150 },
    );
  });

  it('have somebody else own it within a bounded time after the owner died', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 200 }), (seed, phaseMs) => {
        const site = new Site([GW1, GW2], seed);
        site.pass(5_000 + phaseMs);
        expect(site.owners()).toEqual([GW1]);
        site.happen({ kind: 'die', node: 0, thenMs: 0 });
        site.pass(SILENCE_MS + 2 * STEP_MS);
        expect(site.owners()).toEqual([GW2]);
      }),
      { numRuns: 50 },
    );
  });

  it('never leave it without an owner when the plan prefers another one', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(500), fc.nat(500), (seed, firstMs, secondMs) => {
        const site = new Site([GW1, GW2], seed);
        site.pass(5_000);
        site.happen({ kind: 'plan', node: 1, delaysMs: [firstMs, secondMs, 0], thenMs: 0 });
        for (let passed = 0; passed < 3_000; passed += STEP_MS) {
          site.pass(STEP_MS);
          expect(site.owners().length).toBeGreaterThan(0);
        }
        expect(site.owners()).toEqual([GW2]);
      }),
      { numRuns: 40 },
    );
  });
});

/** Time after which nothing moves any more: hold-down, rank, silence and a round of heartbeats. */
const SETTLED_MS = HEARTBEAT.holdDownMs + 8 * SILENCE_MS;
const STEP_MS = 5;

type Event =
  | { kind: 'die' | 'boot' | 'unplug' | 'plug' | 'lame' | 'well' | 'restart'; node: number; thenMs: number }
  | { kind: 'cut' | 'heal' | 'mute' | 'deafen'; node: number; thenMs: number }
  | { kind: 'plan'; node: number; delaysMs: [number, number, number]; thenMs: number };

const thenMs = fc.integer({ min: 0, max: 2_000 });
const node = fc.nat(2);
const eventArbitrary: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ kind: fc.constantFrom('die' as const, 'boot' as const, 'unplug' as const, 'plug' as const, 'lame' as const, 'well' as const, 'restart' as const), node, thenMs }),
  fc.record({ kind: fc.constantFrom('cut' as const, 'heal' as const, 'mute' as const, 'deafen' as const), node, thenMs }),
  fc.record({ kind: fc.constant('plan' as const), node, delaysMs: fc.tuple(fc.nat(1_500), fc.nat(1_500), fc.nat(1_500)), thenMs }),
);

interface Gateway {
  node: NodeId;
  isAlive: boolean;
  isPlugged: boolean;
  reach: number;
  generation: number;
  preferred: NodeId;
  standing: Standing;
  heard: Map<NodeId, Scene['heard'][number]>;
  nextBeatMs: number;
}

/** Gateways on a LAN that can be cut in two, or lose what one of them sends or should hear, without any of them losing its carrier; heartbeats take one step. */
class Site {
  readonly #gateways: Gateway[];
  readonly #plans: { atMs: number; gateway: Gateway; generation: number; preferred: NodeId }[] = [];
  #cutAt: number | null = null;
  #oneWay: { kind: 'mute' | 'deafen'; node: number } | null = null;
  #generation = 1;
  #nowMs = 0;
  #inFlight: { to: Gateway; from: Gateway; state: MemberState }[] = [];

  constructor(nodes: readonly NodeId[], seed: number) {
    this.#gateways = nodes.map((name, index) => ({ node: name, isAlive: true, isPlugged: true, reach: 3, generation: 1, preferred: nodes[0]!, standing: firstStanding(false), heard: new Map(), nextBeatMs: (seed * (index + 7)) % HEARTBEAT.intervalMs }));
  }

  happen(event: Event): void {
    const gateway = this.#gateways[event.node % this.#gateways.length]!;
    if (event.kind === 'die') Object.assign(gateway, { isAlive: false, standing: firstStanding(false), heard: new Map() });
    if (event.kind === 'boot' && !gateway.isAlive) gateway.isAlive = true;
    // an agent that is killed and comes back finds the address where it left it
    if (event.kind === 'restart' && gateway.isAlive) Object.assign(gateway, { standing: firstStanding(gateway.standing.holds), heard: new Map() });
    if (event.kind === 'unplug' || event.kind === 'plug') gateway.isPlugged = event.kind === 'plug';
    if (event.kind === 'lame' || event.kind === 'well') gateway.reach = event.kind === 'lame' ? 0 : 3;
    if (event.kind === 'cut') this.#cutAt = event.node % this.#gateways.length;
    if (event.kind === 'heal') [this.#cutAt, this.#oneWay] = [null, null];
    if (event.kind === 'mute' || event.kind === 'deafen') this.#oneWay = { kind: event.kind, node: event.node % this.#gateways.length };
    if (event.kind === 'plan') {
      this.#generation++;
      for (const [index, one] of this.#gateways.entries()) this.#plans.push({ atMs: this.#nowMs + event.delaysMs[index]!, gateway: one, generation: this.#generation, preferred: gateway.node });
    }
  }

  /** How long after its return from the dead a gateway owns the address again, ms. */
  fallAndReturn(node: number): number {
    this.happen({ kind: 'die', node, thenMs: 0 });
    this.pass(500);
    this.happen({ kind: 'boot', node, thenMs: 0 });
    const fromMs = this.#nowMs;
    while (!this.owners().includes(this.#gateways[node]!.node) && this.#nowMs < fromMs + 60_000) this.pass(STEP_MS);
    const tookMs = this.#nowMs - fromMs;
    this.pass(500); // the other one hears it and gives up
    return tookMs;
  }

  pass(byMs: number, stepMs = STEP_MS): void {
    for (const untilMs = this.#nowMs + byMs; this.#nowMs < untilMs; ) {
      this.#nowMs += stepMs;
      for (const plan of this.#plans) if (plan.atMs <= this.#nowMs && plan.generation > plan.gateway.generation) Object.assign(plan.gateway, { generation: plan.generation, preferred: plan.preferred });
      const arrived = this.#inFlight;
      this.#inFlight = [];
      for (const { from, to, state } of arrived) if (this.#reaches(from, to)) to.heard.set(from.node, noteHeard(to.heard.get(from.node) ?? null, state, { self: to.node, nowMs: this.#nowMs, untilMs: this.#nowMs + SILENCE_MS }));
      for (const gateway of this.#gateways) if (gateway.isAlive) this.#turn(gateway);
    }
  }

  owners(): NodeId[] {
    return this.#gateways.filter(({ isAlive, standing }) => isAlive && standing.holds).map((gateway) => gateway.node);
  }

  /** Gateways that are alive and on the LAN, by who reaches or is reached by whom. */
  parts(): NodeId[][] {
    const there = this.#gateways.filter(({ isAlive, isPlugged }) => isAlive && isPlugged);
    const sides = [there.filter((gateway) => this.#sideOf(gateway) === 0), there.filter((gateway) => this.#sideOf(gateway) === 1)];
    return sides.filter((side) => side.length > 0).map((side) => side.map((gateway) => gateway.node));
  }

  #turn(gateway: Gateway): void {
    const { node: self, generation, preferred, reach } = gateway;
    const before = gateway.standing.holds;
    const scene: Scene = { nowMs: this.#nowMs, self: { node: self, generation, preferred, reach }, isLanUp: gateway.isPlugged, heard: [...gateway.heard.values()], heartbeat: HEARTBEAT, holdDownMaxMs: HOLD_DOWN_MAX_MS };
    gateway.standing = decide(gateway.standing, scene);
    if (this.#nowMs < gateway.nextBeatMs && gateway.standing.holds === before) return;
    gateway.nextBeatMs = this.#nowMs + HEARTBEAT.intervalMs;
    const state: MemberState = { node: self, generation, preferred, reach, holds: gateway.standing.holds, isInterim: gateway.standing.isInterim, hears: scene.heard.filter(({ untilMs }) => this.#nowMs < untilMs).map((one) => one.state.node), holdDownMs: holdDownOf(gateway.standing, scene) };
    for (const to of this.#gateways) if (to !== gateway && this.#reaches(gateway, to)) this.#inFlight.push({ from: gateway, to, state });
  }

  #reaches(one: Gateway, other: Gateway): boolean {
    if (this.#oneWay?.kind === 'mute' && this.#oneWay.node === this.#gateways.indexOf(one)) return false;
    if (this.#oneWay?.kind === 'deafen' && this.#oneWay.node === this.#gateways.indexOf(other)) return false;
    return one.isAlive && other.isAlive && one.isPlugged && other.isPlugged && this.#sideOf(one) === this.#sideOf(other);
  }

  #sideOf(gateway: Gateway): number {
    return this.#cutAt !== null && this.#gateways.indexOf(gateway) === this.#cutAt ? 1 : 0;
  }
}

function stateOf(name: NodeId, given: Partial<MemberState> = {}): MemberState {
  return { node: name, generation: 1, preferred: GW1, holds: false, isInterim: false, reach: 3, hears: null, holdDownMs: 0, ...given };
}

function heardAt(nowMs: number, state: MemberState, deafForMs: number | null = null): Heard {
  return { state, untilMs: nowMs + 1, deafSinceMs: deafForMs === null ? null : nowMs - deafForMs };
}

interface SceneText {
  self?: Partial<MemberState>;
  heard?: MemberState[];
  isLanUp?: boolean;
}

function sceneOf(name: NodeId, nowMs: number, { self = {}, heard = [], isLanUp = true }: SceneText): Scene {
  return { nowMs, self: stateOf(name, self), isLanUp, heard: heard.map((state) => heardAt(nowMs, state)), heartbeat: HEARTBEAT, holdDownMaxMs: HOLD_DOWN_MAX_MS };
}

/** How long after its start, in steps of the silence and the hold-down time, a gateway takes the address; null: never. */
function whenTaken(name: NodeId, scene: SceneText): number | null {
  let standing = firstStanding(false);
  for (let nowMs = 0; nowMs <= 20_000; nowMs += 12.5) {
    standing = decide(standing, sceneOf(name, nowMs, scene));
    if (standing.holds) return nowMs;
  }
  return null;
}
