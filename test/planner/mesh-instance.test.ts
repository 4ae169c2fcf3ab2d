import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exportInstance, measureFlows, plan, readInstance } from '../../src/planner/index.ts';
import { brokenLimits } from '../support/instance-checker.ts';
import { changeArbitrary } from '../support/intent-arbitrary.ts';

const RUNS = { numRuns: Number(process.env['PROPERTY_RUNS'] ?? 40) };

describe('a mesh as an instance of the core, for any mesh and any demand', () => {
  it('is a valid te-instance/1, of which the engine’s plan breaks no limit', () => {
    fc.assert(
      fc.property(changeArbitrary, ([before, after]) => {
        const { plan: own, ...instance } = exportInstance({ ...after, previous: plan(before).plan });
        readInstance(JSON.parse(JSON.stringify(instance)));
        expect(brokenLimits(instance, own)).toEqual([]);
      }),
      RUNS,
    );
  });

  it('has a bound by prices that the engine’s plan does not exceed', () => {
    fc.assert(
      fc.property(changeArbitrary, ([before, after]) => {
        const inputs = { ...after, previous: plan(before).plan };
        const { plan: own, ...instance } = exportInstance(inputs);
        const { certificate } = measureFlows(instance, own.flows, 8);
        // nothing served: so the bound owes nothing to the plan
        expect(certificate.worth).toBeLessThanOrEqual(measureFlows(instance, [], 8).certificate.bound * (1 + 1e-6) + 1e-3);
        const { certificate: told } = plan(inputs).report;
        expect(told?.worth ?? 0).toBeCloseTo(certificate.worth, 2);
      }),
      RUNS,
    );
  });
});
