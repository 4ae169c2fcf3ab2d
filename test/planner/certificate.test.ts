import { describe, expect, it } from 'vitest';
import { connectionFor, siteId, type Connection, type Intent } from '../../src/model/index.ts';
import { exportInstance, measureFlows } from '../../src/planner/index.ts';
import { exampleIntent, inputsFor, planFor, type Situation } from '../support/plan-situations.ts';

/** The example mesh without minimum bandwidths, its connection of berlin and paris changed. */
function withConnection(change: Partial<Connection> = {}): Intent {
  const example = exampleIntent();
  const intent = { ...example, connections: example.connections.map((connection) => ({ ...connection, minMbps: 0 })) };
  const name = connectionFor(intent, siteId('berlin'), siteId('paris'))!.name;
  return { ...intent, connections: intent.connections.map((connection) => (connection.name === name ? { ...connection, ...change } : connection)) };
}

describe('the certificate in a plan’s report', () => {
  it('needs no prices where everything is carried', () => {
    const { certificate } = planFor({ demands: ['berlin>paris bulk 4', 'paris>berlin voice 1'], intent: withConnection() }).report;
    expect(certificate).toEqual({ wanted: 104, worth: 104, bound: 104, provenGapPct: 0, why: [], short: [] });
  });

  it('is absent where nothing is wanted', () => {
    expect(planFor({ demands: [], intent: withConnection() }).report.certificate).toBeUndefined();
  });

  it('proves that what has no place has none in any plan', () => {
    // two uplinks of 20 Mbit/s at berlin and at paris, filled to 80 %
    const { certificate } = planFor({ demands: ['berlin>paris bulk 80'], intent: withConnection({ relays: 'deny' }) }).report;
    expect(certificate).toMatchObject({ wanted: 80, worth: 32, why: [] });
    expect(certificate!.provenGapPct).toBeLessThan(0.1);
    expect(certificate!.short.map(({ what }) => what).sort()).toContain('berlin-gw1/cable up');
  });

  it('bounds by nothing what no way is admissible for', () => {
    const paths = ['cable', 'fibre'].flatMap((one) => ['cable', 'fibre'].map((other) => ({ path: `berlin-gw1/${one}~paris-gw1/${other}`, latencyMs: 500 })));
    const { certificate } = planFor({ demands: ['berlin>paris voice 1'], intent: withConnection({ relays: 'deny' }), paths }).report;
    expect(certificate).toMatchObject({ wanted: 100, worth: 0, bound: 0, provenGapPct: 0 });
  });

  it('says why a plan stays far below its bound: reasons with what they cost, then the orders of people', () => {
    const [override] = [{ id: 'o1', what: { kind: 'pin-path' as const, pair: 'berlin>paris', path: 'berlin-gw1/cable~paris-gw1/cable' }, until: Date.UTC(2027, 0, 1), why: 'test', by: 'alice' }] as never[];
    const { certificate } = planFor({ demands: ['berlin>paris bulk 24'], overrides: [override!], intent: withConnection() }).report;
    expect(certificate!.provenGapPct).toBeGreaterThan(1);
    expect(certificate!.why).toEqual([
      { reason: expect.stringContaining('is used up') as string, mbps: 8 },
      { reason: '3 classes of pairs are pinned by people', mbps: null },
    ]);
  });
});

describe('an exported instance', () => {
  /** Mbit/s that could be carried of one demand, were every tunnel there. */
  const most = (situation: Situation): number => {
    const { plan: _plan, ...instance } = exportInstance(inputsFor({ ...situation, demands: ['berlin>paris voice 100'] }));
    return measureFlows(instance, [], 40).certificate.bound / 100;
  };
  it.each<[string, Situation, number]>([
    ['nothing where all is well', { intent: withConnection() }, 32],
    ['paths that are down', { intent: withConnection({ relays: 'deny' }), paths: ['cable~paris-gw1/cable', 'cable~paris-gw1/fibre'].map((path) => ({ path: `berlin-gw1/${path}`, state: 'down' })) }, 16],
    ['all paths of an uplink that is avoided', { intent: withConnection({ avoid: { regions: [], providers: [], uplinks: ['fibre'] } }) }, 16],
    ['relays where the connection denies them', { intent: withConnection({ relays: 'deny', avoid: { regions: [], providers: [], uplinks: ['paris-gw1/*', 'fibre'] } }) }, 0],
    ['a pair that may not talk', { intent: withConnection({ mode: 'never' }) }, 0],
    ['a path that policy refuses', { intent: withConnection({ relays: 'deny', avoid: { regions: [], providers: [], uplinks: ['fibre'] } }), constraints: [{ forbidPath: 'berlin-gw1/cable~paris-gw1/cable' as never, reason: 'test' }] }, 0],
  ])('leaves out %s', (_, situation, mbps) => {
    expect(most(situation)).toBeCloseTo(mbps, 0);
  });
});
