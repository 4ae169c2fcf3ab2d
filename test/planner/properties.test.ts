import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/base/index.ts';
import { uplinksOfPath, type Plan, type PlanReport, type UplinkId } from '../../src/model/index.ts';
import { checkPlan, plan, type PlanInputs } from '../../src/planner/index.ts';
import { diff } from '../../src/render/index.ts';
import { changeArbitrary, situationArbitrary } from '../support/intent-arbitrary.ts';

const RUNS = { numRuns: Number(process.env['PROPERTY_RUNS'] ?? 150) };

describe('plan, for any mesh and any demand', () => {
  it('gives the same bytes for the same inputs, and for shuffled ones', () => {
    fc.assert(
      fc.property(situationArbitrary, (inputs) => {
        const first = plan(inputs);
        expect(canonicalJson(plan(inputs))).toBe(canonicalJson(first));
        expect(canonicalJson(plan(reversed(inputs)))).toBe(canonicalJson(first));
      }),
      RUNS,
    );
  });

  it('passes the checker, which shares no code with it', () => {
    fc.assert(
      fc.property(situationArbitrary, (inputs) => {
        expect(checkPlan(inputs.intent, plan(inputs).plan)).toEqual([]);
      }),
      RUNS,
    );
  });

  it('passes the checker from a previous plan too', () => {
    fc.assert(
      fc.property(changeArbitrary, ([before, after]) => {
        expect(checkPlan(after.intent, plan({ ...after, previous: plan(before).plan }).plan)).toEqual([]);
      }),
      RUNS,
    );
  });

  it('changes nothing when planned again a cycle later from its own result', () => {
    fc.assert(
      fc.property(changeArbitrary, ([before, after]) => {
        const first = plan({ ...after, previous: plan(before).plan }).plan;
        const again = plan({ ...after, previous: first, now: after.now + after.intent.mesh.cycleMs }).plan;
        expect(again).toEqual(first);
        expect(diff(after.intent, first, again, after.forecast).changes).toEqual([]);
      }),
      RUNS,
    );
  });

  it('assigns no uplink more than its limit', () => {
    fc.assert(
      fc.property(changeArbitrary, ([before, after]) => {
        const { plan: planned, report } = plan({ ...after, previous: plan(before).plan });
        for (const [uplink, loadMbps] of assignedLoads(planned, report)) {
          expect(loadMbps, uplink).toBeLessThanOrEqual(limitOf(after, uplink) + 0.02);
        }
      }),
      RUNS,
    );
  });

  it('does not swing with noise in the forecast: what a small change once moved, going back does not move back', () => {
    fc.assert(
      fc.property(changeArbitrary, fc.array(fc.double({ min: 0.96, max: 1.04, noNaN: true }), { minLength: 1, maxLength: 7 }), ([before, after], noise) => {
        const { plan: settled, report } = plan({ ...after, previous: plan(before).plan });
        fc.pre(report.unplaced.length === 0); // when not everything fits, who gets the rest may change hands
        const noisy = withNoise(after, noise);
        const moved = plan({ ...noisy, previous: settled }).plan;
        const back = plan({ ...after, previous: moved }).plan;
        const again = plan({ ...noisy, previous: back }).plan;
        expect(again).toEqual(back);
      }),
      RUNS,
    );
  });

  it('gives every admitted pair with a tunnel a route for every class it may use', () => {
    fc.assert(
      fc.property(situationArbitrary, (inputs) => {
        const planned = plan(inputs).plan;
        const routed = new Set(planned.assignments.map(({ from, to, classId }) => `${from}>${to} ${classId}`));
        for (const { a, b } of planned.tunnels) {
          const rule = inputs.intent.connections.findLast(({ between: [left, right] }) => [[a.site, b.site], [b.site, a.site]].some(([one, other]) => (left === '*' || left === one) && (right === '*' || right === other)))!;
          const classes = inputs.intent.classes.filter(({ id }) => rule.classes.length === 0 || rule.classes.includes(id));
          for (const { id } of classes) expect([routed.has(`${a.site}>${b.site} ${id}`), routed.has(`${b.site}>${a.site} ${id}`)]).toEqual([true, true]);
        }
      }),
      RUNS,
    );
  });
});

/** Every list turned round; connections keep their order, since it means something. */
function reversed(inputs: PlanInputs): PlanInputs {
  const { intent, forecast, observation } = inputs;
  return {
    ...inputs,
    intent: {
      ...intent,
      sites: intent.sites.toReversed().map((site) => ({ ...site, nodes: site.nodes.toReversed().map((node) => ({ ...node, uplinks: node.uplinks.toReversed() })) })),
      classes: intent.classes.toReversed(),
      securityProfiles: intent.securityProfiles.toReversed(),
    },
    forecast: forecast && { ...forecast, demands: forecast.demands.toReversed() },
    observation: { ...observation, demands: observation.demands.toReversed(), paths: observation.paths.toReversed() },
  };
}

function withNoise(inputs: PlanInputs, noise: readonly number[]): PlanInputs {
  const factor = (index: number): number => noise[index % noise.length]!;
  return {
    ...inputs,
    forecast: inputs.forecast && {
      ...inputs.forecast,
      demands: inputs.forecast.demands.map((demand, index) => ({
        ...demand,
        slots: demand.slots.map((slot) => ({ ...slot, p50: slot.p50 * factor(index), p90: slot.p90 * factor(index), p95: slot.p95 * factor(index) })),
      })),
    },
  };
}

/** Mbit/s up on each uplink by what the plan carries: planned minus unplaced, by weights. */
function assignedLoads(planned: Plan, report: PlanReport): Map<UplinkId, number> {
  const loads = new Map<UplinkId, number>();
  const tunnels = new Map(planned.tunnels.map((tunnel) => [tunnel.id, tunnel]));
  for (const demand of report.demands) {
    const unplaced = report.unplaced.filter((entry) => entry.pair === demand.pair && entry.classId === demand.classId).reduce((sum, { mbps }) => sum + mbps, 0);
    const [from, to] = demand.pair.split('>');
    const assignment = planned.assignments.find((each) => each.from === from && each.to === to && each.classId === demand.classId);
    for (const route of assignment?.routes ?? []) {
      let at = from;
      for (const id of route.tunnels) {
        const { path, a, b } = tunnels.get(id)!;
        const [ua, ub] = uplinksOfPath(path);
        const sender = a.site === at ? ua : ub;
        at = a.site === at ? b.site : a.site;
        loads.set(sender, (loads.get(sender) ?? 0) + ((demand.plannedMbps - unplaced) * route.weight) / 100);
      }
    }
  }
  return loads;
}

function limitOf({ intent }: PlanInputs, uplink: UplinkId): number {
  const found = intent.sites.flatMap((site) => site.nodes.flatMap((node) => node.uplinks)).find(({ id }) => id === uplink)!;
  return found.upMbps * intent.mesh.utilisationMax;
}
