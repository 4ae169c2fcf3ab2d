import { describe, expect, it } from 'vitest';
import { changedLanes, chooseLanes } from '../../../agent/failover/lanes.ts';
import { healthOf, type TunnelHealth } from '../../../agent/failover/health.ts';
import { classId, siteId, type Steering, type TunnelId } from '../../../src/model/index.ts';

const [A, B, C] = ['t-0000000a', 't-0000000b', 't-0000000c'] as TunnelId[] as [TunnelId, TunnelId, TunnelId];
const twice: Steering[] = [{ to: siteId('paris'), prefixes: ['10.2.0.0/24'], classId: classId('voice'), lanes: [{ mark: 4097, weight: 100, tunnels: [A, B, C], copies: [B, C, A] }] }];

describe('lanes that send twice', () => {
  const choose = (health: Record<string, TunnelHealth>, before: { active: TunnelId | null; copy?: TunnelId | null } = { active: A, copy: B }): [TunnelId | null, TunnelId | null | undefined] => {
    const [lane] = chooseLanes(twice, (tunnel) => health[tunnel] ?? 'up', new Map([[4097, before]]));
    return [lane!.active, lane!.copy];
  };

  it.each<[string, Record<string, TunnelHealth>, [TunnelId | null, TunnelId | null]]>([
    ['all are up: the first, and the first of those for copies', {}, [A, B]],
    ['the first is dead: its traffic takes the place of the copies, these the next tunnel', { [A]: 'stale' }, [B, C]],
    ['that of the copies is dead: the next tunnel', { [B]: 'stale' }, [A, C]],
    ['that of the copies is degraded: one that is up goes before it', { [B]: 'degraded' }, [A, C]],
    ['the others are degraded: better than none', { [B]: 'degraded', [C]: 'degraded' }, [A, B]],
    ['one is left: sent once', { [A]: 'stale', [B]: 'absent' }, [C, null]],
    ['nothing answers: all stays as it was', { [A]: 'stale', [B]: 'stale', [C]: 'stale' }, [A, B]],
    ['nothing is there', { [A]: 'absent', [B]: 'absent', [C]: 'absent' }, [null, null]],
  ])('%s', (_case, health, expected) => {
    expect(choose(health)).toEqual(expected);
  });

  it('never send both over one tunnel, whatever the health of each', () => {
    const healths: TunnelHealth[] = ['up', 'degraded', 'stale', 'absent'];
    for (const a of healths) for (const b of healths) for (const c of healths) {
      for (const before of [{ active: A, copy: B }, { active: B, copy: A }, { active: C, copy: null }]) {
        const [active, copy] = choose({ [A]: a, [B]: b, [C]: c }, before);
        expect(active === null ? copy : copy !== active).toBe(active === null ? null : true);
      }
    }
  });

  it('are switched when only their copies move, and lanes that send once have none', () => {
    const lane = { mark: 4097, prefixes: [], active: A };
    expect(changedLanes([{ ...lane, copy: B }], [{ ...lane, copy: C }])).toHaveLength(1);
    expect(changedLanes([{ ...lane, copy: B }], [{ ...lane, copy: B }])).toEqual([]);
    const once = [{ ...twice[0]!, lanes: [{ mark: 4098, weight: 100, tunnels: [A, B] }] }];
    expect(chooseLanes(once, () => 'up', new Map())).toEqual([{ mark: 4098, prefixes: ['10.2.0.0/24'], active: A }]);
  });
});

describe('lanes of a class whose SLA a tunnel does not keep', () => {
  const [voice, bulk] = [classId('voice'), classId('bulk')];
  const both: Steering[] = [voice, bulk].map((id, index) => ({ to: siteId('paris'), prefixes: ['10.2.0.0/24'], classId: id, lanes: [{ mark: 4100 + index, weight: 100, tunnels: [A, B] }] }));
  const view = (violated: (typeof voice)[]) => ({ state: 'up' as const, wasEverUp: true, peerInUse: true, peerRenews: false, peerLame: false, isDoubted: false, isReturning: false, violated, mtu: null });
  const activeOf = (violatedAtA: (typeof voice)[], violatedAtB: (typeof voice)[] = []): (TunnelId | null)[] => {
    const views = new Map([[A, view(violatedAtA)], [B, view(violatedAtB)]]);
    return chooseLanes(both, (tunnel, classes) => healthOf(tunnel, new Set([A, B]), null, views, new Set(), classes), new Map()).map(({ active }) => active);
  };

  it('leave it, and those of other classes stay', () => {
    expect(activeOf([])).toEqual([A, A]);
    expect(activeOf([voice])).toEqual([B, A]);
    expect(activeOf([voice, bulk])).toEqual([B, B]);
  });

  it('stay where nothing is better', () => {
    expect(activeOf([voice], [voice])).toEqual([A, A]);
  });
});

describe('lanes towards a gateway whose LAN is dead', () => {
  const toSite: Steering[] = [{ to: siteId('paris'), prefixes: ['10.2.0.0/24'], classId: classId('voice'), lanes: [{ mark: 4100, weight: 100, tunnels: [A, B] }] }];
  const activeOf = (lameAtA: boolean, lameAtB: boolean): TunnelId | null => {
    const view = (peerLame: boolean) => ({ state: 'up' as const, wasEverUp: true, peerInUse: true, peerRenews: false, peerLame, isDoubted: false, isReturning: false, violated: [], mtu: null });
    const views = new Map([[A, view(lameAtA)], [B, view(lameAtB)]]);
    return chooseLanes(toSite, (tunnel, classes) => healthOf(tunnel, new Set([A, B]), null, views, new Set(), classes), new Map())[0]!.active;
  };

  it('lead to the other gateway, and stay where both say so or nobody does', () => {
    expect([activeOf(true, false), activeOf(true, true), activeOf(false, false), activeOf(false, true)]).toEqual([B, A, A, A]);
  });
});
