import { describe, expect, it } from 'vitest';
import { explainPlan, planInstance, type Instance } from '../../src/planner/index.ts';
import { makeInstance } from '../support/instances.ts';
import { linearBound } from '../support/linear-bound.ts';
import { servedOf, triangle } from '../support/meshes.ts';

/** Every fifth demand wants so much. */
function immense(seed: number, mbps: number, slots: number): Instance {
  const { demands, ...mesh } = makeInstance({ sites: 6, relays: 2, seed, slots, meanMbps: 10 });
  return { ...mesh, demands: demands.map((demand, index) => (index % 5 === 0 ? { ...demand, p50: mbps / 2, p95: mbps } : demand)) };
}

describe('demands beyond what their sites could carry', () => {
  it.each([1, 2, 3])('are planned near the optimum, and proven so (seed %i)', async (seed) => {
    const { certificate } = planInstance(immense(seed, 1e12, 10_000), { sweeps: 60 });
    const best = await linearBound(immense(seed, 1e5, 10_000), 1);
    expect(certificate.bound).toBeGreaterThanOrEqual(best * (1 - 1e-6));
    expect(certificate.bound).toBeLessThan(best * 1.005);
    expect(certificate.provenGapPct).toBeLessThan(1.5);
  });

  it.each([3, 10_000])('count as what these could carry, however much they want (%i slots)', (slots) => {
    const { plan: one } = planInstance(immense(4, 1e5, slots), { sweeps: 24 });
    const { plan: other } = planInstance(immense(4, 1e15, slots), { sweeps: 24 });
    expect(other.tunnels).toEqual(one.tunnels);
    expect(other.flows).toEqual(one.flows);
  });

  it('are in the prices of the plan, so that nobody who bounds by what is wanted finds a gain left in them', () => {
    const instance = triangle(({ demands }) => void (demands[1]!.p95 = 1e12));
    const { plan, certificate } = planInstance(instance, { sweeps: 24 });
    const [up0, , up2, , down1, down2, crypto0, crypto1, crypto2] = plan.prices;
    const direct = up0! + down1! + crypto0! + crypto1!;
    expect(1 - direct).toBeLessThanOrEqual(0);
    expect(1 - direct - down2! - up2! - 2 * crypto2!).toBeLessThanOrEqual(0);
    expect(servedOf(instance, plan.flows)).toEqual([30, 70]);
    expect(certificate.provenGapPct).toBeLessThan(0.01);
  });

  it('are refused with all that they want', () => {
    const { standing } = planInstance(triangle(({ demands }) => void (demands[1]!.p95 = 1e12)), { sweeps: 24 });
    expect(explainPlan(standing).refused.map(({ demand, mbps }) => [demand, Math.round(mbps)])).toEqual([[1, 1e12 - 70]]);
  });
});
