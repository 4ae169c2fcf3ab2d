import { describe, expect, it } from 'vitest';
import { createRng } from '../../src/base/index.ts';
import { checkPlan, plan, type PlanInputs } from '../../src/planner/index.ts';

/** What the tool for the table in docs/planning.md plans, too. */
interface MadeMeshes {
  NOW: number;
  makeInputs: (random: typeof createRng, shape: { sites: number; seed: number; slots?: number }) => PlanInputs;
}
const { makeInputs, NOW } = (await import(new URL('../../tools/made-mesh.mjs', import.meta.url).href)) as MadeMeshes;

/** Made-up meshes with few tunnel slots: what is missing at least when demands are placed one after the other, and at most with guidance, % of the bound. */
const CONTENDED = [
  { sites: 5, seed: 3, slots: 4, unguidedPct: 4, guidedPct: 1 },
  { sites: 7, seed: 2, slots: 4, unguidedPct: 2, guidedPct: 1 },
  { sites: 7, seed: 5, slots: 4, unguidedPct: 14, guidedPct: 4 },
] as const;

describe.each(CONTENDED)('a mesh of $sites sites that is short of tunnels (seed $seed)', (shape) => {
  const inputs = makeInputs(createRng, shape);
  const made = plan(inputs);

  it(`is planned within ${shape.guidedPct} % of the best possible where one demand after the other falls behind by more than ${shape.unguidedPct} %`, () => {
    const { provenGapPct, unguidedGapPct } = made.report.certificate!;
    expect(unguidedGapPct).toBeGreaterThan(shape.unguidedPct);
    expect(provenGapPct).toBeLessThan(shape.guidedPct);
  });

  it('has a plan that the checker finds right, with whole weights that are the same both ways', () => {
    expect(checkPlan(inputs.intent, made.plan)).toEqual([]);
  });

  it('keeps that plan to the byte a cycle later', () => {
    expect(plan({ ...inputs, previous: made.plan, now: NOW + inputs.intent.mesh.cycleMs }).plan).toEqual(made.plan);
  });

  it('moves no tunnel while demands go up and down by a twentieth', () => {
    const rng = createRng('a tenth');
    const demands = inputs.forecast!.demands.map((demand) => {
      const factor = 0.95 + 0.1 * rng.next();
      return { ...demand, slots: demand.slots.map((slot) => ({ ...slot, p50: slot.p50 * factor, p90: slot.p90 * factor, p95: slot.p95 * factor })) };
    });
    const next = plan({ ...inputs, forecast: { ...inputs.forecast!, demands }, previous: made.plan, now: NOW + 3_600_000 }).plan;
    expect(next.tunnels.map(({ id }) => id)).toEqual(made.plan.tunnels.map(({ id }) => id));
  });
});

describe('a mesh that is short of nothing', () => {
  it('is planned without guidance', () => {
    expect(plan(makeInputs(createRng, { sites: 5, seed: 1 })).report.certificate).toMatchObject({ provenGapPct: 0 });
    expect(plan(makeInputs(createRng, { sites: 5, seed: 1 })).report.certificate).not.toHaveProperty('unguidedGapPct');
  });
});
