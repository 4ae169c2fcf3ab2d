import { describe, expect, it } from 'vitest';
import { makeMesh, planInstance, readInstance } from '../../src/planner/index.ts';
import { brokenLimits } from '../support/instance-checker.ts';

describe('a made-up mesh', () => {
  it.each([2, 3, 10, 40])('of %i sites is an instance that can be planned, equal for equal arguments', (sites) => {
    const mesh = makeMesh(sites, 'x');
    expect(readInstance(structuredClone(mesh))).toEqual(makeMesh(sites, 'x'));
    expect(makeMesh(sites, 'y')).not.toEqual(mesh);
    const { plan } = planInstance(mesh, { sweeps: 6 });
    expect(plan.flows.length).toBeGreaterThan(0);
    expect(brokenLimits(mesh, plan)).toEqual([]);
  });
});
