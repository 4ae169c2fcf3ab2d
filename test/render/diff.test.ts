import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sitesOfPair, type Changeset, type Plan } from '../../src/model/index.ts';
import { plan } from '../../src/planner/index.ts';
import { diff, fingerprint } from '../../src/render/index.ts';
import { playStory } from '../support/golden.ts';
import { changeArbitrary, emptyPlan, NOW } from '../support/intent-arbitrary.ts';
import { exampleIntent, inputsFor, planFor } from '../support/plan-situations.ts';

const intent = exampleIntent();

describe('diff', () => {
  it('of a plan and itself is empty, whatever the plan', () => {
    fc.assert(
      fc.property(changeArbitrary, ([before]) => {
        const planned = plan(before).plan;
        const changeset = diff(before.intent, planned, planned, before.forecast);
        expect(changeset).toMatchObject({ impact: 'none', changes: [], tunnelsAdded: 0, tunnelsRemoved: 0, tunnelsMoved: 0, sitesTouched: [], trafficMovedShare: 0, usdPerMonthDelta: 0 });
      }),
      { numRuns: 60 },
    );
  });

  it('is empty exactly when nothing that nodes run differs, and its figures stay in bounds', () => {
    fc.assert(
      fc.property(changeArbitrary, ([before, after]) => {
        const first = plan(before).plan;
        const second = plan({ ...after, previous: first }).plan;
        const changeset = diff(after.intent, first, second, after.forecast);
        const isSame = JSON.stringify({ ...first, overrides: [], vetoes: [] }) === JSON.stringify({ ...second, overrides: [], vetoes: [] });
        expect(changeset.changes.length === 0).toBe(isSame);
        expect(changeset.trafficMovedShare).toBeGreaterThanOrEqual(0);
        expect(changeset.trafficMovedShare).toBeLessThanOrEqual(1);
        for (const change of changeset.changes) expect(change.fingerprint).toBe(fingerprint(change.key));
      }),
      { numRuns: 60 },
    );
  });

  it('without the changes that a person consented to is what is left of it, figures and all', () => {
    fc.assert(
      fc.property(changeArbitrary, fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }), ([before, after], picks) => {
        const first = plan(before).plan;
        const second = plan({ ...after, previous: first }).plan;
        const whole = diff(after.intent, first, second, after.forecast);
        const consented = new Set(whole.changes.filter((_change, index) => picks[index % picks.length]).map((change) => change.fingerprint));
        const rest = diff(after.intent, first, second, after.forecast, consented);
        const other = diff(after.intent, first, second, after.forecast, new Set(rest.changes.map((change) => change.fingerprint)));
        expect(rest.changes).toEqual(whole.changes.filter((change) => !consented.has(change.fingerprint)));
        expect(rest.trafficMovedShare + other.trafficMovedShare).toBeCloseTo(whole.trafficMovedShare, 4);
        expect(rest.usdPerMonthDelta + other.usdPerMonthDelta).toBeCloseTo(whole.usdPerMonthDelta, 1);
        const tunnels = ({ tunnelsAdded, tunnelsRemoved, tunnelsMoved }: Changeset): number => tunnelsAdded + tunnelsRemoved + 2 * tunnelsMoved;
        expect(tunnels(rest) + tunnels(other)).toBe(tunnels(whole));
        const none = diff(after.intent, first, second, after.forecast, new Set(whole.changes.map((change) => change.fingerprint)));
        expect(none).toMatchObject({ impact: 'none', changes: [], tunnelsAdded: 0, tunnelsRemoved: 0, tunnelsMoved: 0, sitesTouched: [], trafficMovedShare: 0, usdPerMonthDelta: 0 });
      }),
      { numRuns: 60 },
    );
  });

  it('counts a tunnel that comes and one that goes between the same two sites as one moved', () => {
    const [before, after] = playStory('uplink-drained');
    expect(diff(intent, before!.plan, after!.plan, null)).toMatchObject({ tunnelsAdded: 0, tunnelsRemoved: 0, tunnelsMoved: 2 });
  });

  it('counts them apart when the sites differ', () => {
    const [before, after] = playStory('tunnel-limit');
    expect(diff(intent, before!.plan, after!.plan, null)).toMatchObject({ tunnelsAdded: 1, tunnelsRemoved: 1, tunnelsMoved: 0 });
  });

  it('weighs moved traffic by the median of the forecast, and equally without one', () => {
    const [before, after] = playStory('peak-ahead');
    // Half of berlin–aws-fra's business moves, in both directions; each of 2 × 8 assignments weighs the same without a forecast.
    expect(diff(intent, before!.plan, after!.plan, null).trafficMovedShare).toBeCloseTo(1 / after!.plan.assignments.length, 4);
    expect(diff(intent, before!.plan, after!.plan, after!.inputs.forecast).trafficMovedShare).toBeGreaterThan(0.4);
  });

  it('names each change once, though both directions change', () => {
    const changeset = peakChange();
    const routes = changeset.changes.filter(({ key }) => key.kind === 'reroute');
    expect(routes.every(({ pair }) => { const [from, to] = sitesOfPair(pair!); return from < to; })).toBe(true);
    expect(changeset.sitesTouched).toEqual(['aws-fra', 'berlin']);
  });

  it('has the same identity at another time and for other figures', () => {
    expect(peakChange(NOW + 86_400_000, 21).digest).toBe(peakChange().digest);
  });

  describe('impact', () => {
    it('is none for what only comes', () => {
      expect(diff(intent, emptyPlan(intent), planFor({ demands: ['berlin>paris voice 1'] }).plan, null).impact).toBe('none');
    });

    it('is reroute when traffic takes another way', () => {
      expect(peakChange().impact).toBe('reroute');
    });

    it('is rekey when only the crypto of the same path changes', () => {
      const { plan: before } = planFor({ demands: ['berlin>paris voice 1'] });
      const stronger = { ...intent, securityProfiles: intent.securityProfiles.map((profile) => (profile.name === 'strong' ? { ...profile, esp: profile.ike } : profile)) };
      const { plan: after } = planFor({ intent: stronger, demands: ['berlin>paris voice 1'], previous: before });
      const changeset = diff(stronger, before, after, null);
      expect(changeset).toMatchObject({ impact: 'rekey', tunnelsMoved: 3, tunnelsAdded: 0, trafficMovedShare: 0 }); // two of the pair, one of the standby gateway
      expect(changeset.changes.map(({ key }) => key.kind).sort()).toEqual([...Array<string>(3).fill('tunnel-add'), ...Array<string>(3).fill('tunnel-remove')]);
    });

    it('is rekey when only the timers change, and that is no tunnel added', () => {
      const { plan: before } = planFor({ demands: ['berlin>paris voice 1'] });
      const after: Plan = { ...before, securityProfiles: before.securityProfiles.map((profile) => ({ ...profile, espRekeyMs: 60_000 })) };
      expect(diff(intent, before, after, null)).toMatchObject({ impact: 'rekey', tunnelsAdded: 0, tunnelsMoved: 0 });
    });

    it('is interrupt when a pair in use loses its last way, none when nothing is expected of it', () => {
      const { plan: before } = planFor({ demands: ['paris>azure-weu bulk 2'] });
      const gone = (id: string): boolean => before.tunnels.some((tunnel) => tunnel.id === id && tunnel.path.startsWith('azure'));
      const after: Plan = {
        ...before,
        tunnels: before.tunnels.filter(({ id }) => !gone(id)),
        assignments: before.assignments.filter(({ routes }) => !routes.some((route) => route.tunnels.some(gone))),
      };
      expect(diff(intent, before, after, inputsFor({ demands: ['paris>azure-weu bulk 2'] }).forecast).impact).toBe('interrupt');
      expect(diff(intent, before, after, inputsFor({ demands: ['paris>azure-weu bulk 0'] }).forecast).impact).toBe('none');
      expect(diff(intent, before, after, null).impact).toBe('interrupt');
    });

    it('is reroute when a standby gateway takes over with the tunnels it has, interrupt when it has none', () => {
      const [before, after] = playStory('node-drained');
      expect(diff(intent, before!.plan, after!.plan, null).impact).toBe('reroute');
      const cold: Plan = { ...before!.plan, tunnels: before!.plan.tunnels.filter(({ a, b }) => a.node !== 'berlin-gw2' && b.node !== 'berlin-gw2') };
      expect(diff(intent, cold, after!.plan, null).impact).toBe('interrupt');
    });

    it('is none for a change of backups alone, whose fingerprint is not that of any route', () => {
      const { plan: before } = planFor({ demands: ['berlin>paris voice 1'] });
      const after: Plan = { ...before, assignments: before.assignments.map((assignment) => ({ ...assignment, backups: [] })) };
      const changeset = diff(intent, before, after, null);
      expect(changeset.impact).toBe('none');
      expect(changeset.changes.every(({ key }) => key.kind === 'reroute' && key.paths.some((paths) => paths.length === 0))).toBe(true);
    });
  });
});

function peakChange(now = NOW, mbps = 22): Changeset {
  const before = planFor({ demands: ['berlin>aws-fra business 4'], now }).plan;
  const after = inputsFor({ demands: [`berlin>aws-fra business ${mbps}`], previous: before, now: now + 60_000 });
  return diff(intent, before, plan(after).plan, after.forecast);
}
