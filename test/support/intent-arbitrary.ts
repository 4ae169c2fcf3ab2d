import * as fc from 'fast-check';
import {
  classId,
  EMPTY_PLAN,
  nodeId,
  pathId,
  siteId,
  uplinkId,
  type ClassId,
  type Connection,
  type Forecast,
  type Intent,
  type Observation,
  type PathQuality,
  type PathState,
  type Plan,
  type SecurityProfile,
  type Site,
  type SiteId,
  type TrafficClass,
} from '../../src/model/index.ts';
import type { PlanInputs } from '../../src/planner/index.ts';

/** Monday noon; every generated time is far enough from its limits that one cycle more or less crosses none. */
export const NOW = Date.UTC(2026, 0, 5, 12);

const PROVIDERS = ['onprem', 'aws', 'azure'] as const;

const profiles: SecurityProfile[] = [
  {
    name: 'standard',
    level: 2,
    ike: [{ encryption: 'aes128gcm16', integrity: 'none', prf: 'prfsha256', group: 'x25519' }],
    esp: [{ encryption: 'aes128gcm16', integrity: 'none', prf: 'none', group: 'x25519' }],
    ikeRekeyMs: 14_400_000,
    espRekeyMs: 3_600_000,
    pfs: true,
    postQuantum: 'off',
  },
  {
    name: 'strong',
    level: 3,
    ike: [{ encryption: 'aes256gcm16', integrity: 'none', prf: 'prfsha384', group: 'ecp384' }],
    esp: [{ encryption: 'aes256gcm16', integrity: 'none', prf: 'none', group: 'ecp384' }],
    ikeRekeyMs: 7_200_000,
    espRekeyMs: 1_800_000,
    pfs: true,
    postQuantum: 'off',
  },
];

interface SiteSeed {
  latitude: number;
  longitude: number;
  provider: (typeof PROVIDERS)[number];
  relay: boolean;
  hasStandby: boolean;
  tunnelsMax: number;
  cryptoMbps: number;
  uplinks: { capacityMbps: number; usdPerGb: number; provider: string; risk: string; drain: boolean }[];
}

const siteSeed: fc.Arbitrary<SiteSeed> = fc.record({
  latitude: fc.integer({ min: 35, max: 60 }),
  longitude: fc.integer({ min: -10, max: 25 }),
  provider: fc.constantFrom(...PROVIDERS),
  relay: fc.boolean(),
  hasStandby: fc.boolean(),
  tunnelsMax: fc.constantFrom(0, 1, 2, 3, 3, 4, 5, 16, 16, 16, 16, 16),
  cryptoMbps: fc.constantFrom(0, 10, 50, 200, 1000, 1000, 1000, 1000, 1000, 1000),
  uplinks: fc.array(
    fc.record({
      capacityMbps: fc.constantFrom(0, 2, 10, 10, 20, 20, 50, 50, 1000),
      usdPerGb: fc.constantFrom(0, 0.05, 0.09, 2.5),
      provider: fc.constantFrom('telekom', 'vodafone', 'aws'),
      risk: fc.constantFrom('duct-a', 'duct-b', 'duct-c'),
      drain: fc.integer({ min: 0, max: 19 }).map((roll) => roll === 0),
    }),
    { minLength: 1, maxLength: 3 },
  ),
});

const connectionSeed = fc.record({
  between: fc.tuple(fc.constantFrom('*', 's0', 's1', 's2', 's3', 's4'), fc.constantFrom('s0', 's1', 's2', 's3', 's4', 's5')),
  mode: fc.constantFrom('always' as const, 'auto' as const, 'auto' as const, 'auto' as const, 'never' as const),
  minMbps: fc.constantFrom(0, 0, 3),
  maxMbps: fc.constantFrom(0, 0, 8),
  relays: fc.constantFrom('allow' as const, 'allow' as const, 'deny' as const),
  securityProfile: fc.constantFrom('standard', 'standard', 'strong'),
  backup: fc.constantFrom('class' as const, 'class' as const, 'none' as const),
  avoidsTelekom: fc.integer({ min: 0, max: 5 }).map((roll) => roll === 0),
  classes: fc.constantFrom<string[]>([], [], ['bulk'], ['voice', 'bulk']),
});

/** Small meshes of 1–6 sites with everything that makes planning hard: no capacity, no slots, drains, relays, rules that forbid. */
export const intentArbitrary: fc.Arbitrary<Intent> = fc
  .record({ sites: fc.array(siteSeed, { minLength: 1, maxLength: 6, size: 'max' }), connections: fc.array(connectionSeed, { maxLength: 5 }), utilisationMax: fc.constantFrom(0.5, 0.8, 1), voice: fc.constantFrom('backup' as const, 'duplicate' as const) })
  .map(({ sites, connections, utilisationMax, voice }) => ({
    commit: null,
    mesh: {
      name: 'generated',
      cycleMs: 60_000,
      overlayPrefix: '172.30.0.0/16',
      protectedPrefixes: ['10.0.0.0/8'],
      utilisationMax,
      idleTimeoutMs: 1_800_000,
      holdMs: 600_000,
      forecast: { slotMs: 900_000, slotsPerDay: 96, horizonSlots: 4, provision: 'p95' as const },
      probe: { intervalMs: 50, downAfter: 4, holdDownMs: 60_000, holdDownMaxMs: 600_000 },
      telemetry: { sampleIntervalMs: 10_000, connections: false },
      autoApply: { tunnelsMax: 4, sitesMax: 3, trafficShareMax: 0.5, changesPerHourMax: 20 },
      shaping: false,
      vetoMs: 86_400_000,
    },
    sites: sites.map(siteOf),
    classes: CLASSES.map((each) => (each.id === classId('voice') ? { ...each, protection: voice } : each)),
    connections: [connectionOf({ between: ['*', '*'], mode: 'auto', minMbps: 0, maxMbps: 0, relays: 'allow', securityProfile: 'standard', backup: 'class', avoidsTelekom: false, classes: [] }, 0), ...connections.map((seed, index) => connectionOf(seed, index + 1))],
    securityProfiles: profiles,
  }));

export const CLASSES: TrafficClass[] = [
  { id: classId('voice'), priority: 0, match: [{ protocol: 'udp', ports: [{ from: 5000, to: 5099 }], dscp: [] }], sla: { latencyMaxMs: 60, lossMaxRatio: 0.01, jitterMaxMs: 30 }, protection: 'backup', shareRatio: 0, dscp: null },
  { id: classId('business'), priority: 1, match: [{ protocol: 'tcp', ports: [], dscp: [] }], sla: { latencyMaxMs: 150, lossMaxRatio: 0.02, jitterMaxMs: 100 }, protection: 'backup', shareRatio: 0, dscp: null },
  { id: classId('bulk'), priority: 2, match: [], sla: { latencyMaxMs: 1000, lossMaxRatio: 0.05, jitterMaxMs: 1000 }, protection: 'none', shareRatio: 0, dscp: null },
];

/** Inputs for an intent: a forecast, some observed past and path qualities, no previous plan. */
export function inputsArbitrary(intent: Intent, now = NOW): fc.Arbitrary<PlanInputs> {
  const sites = intent.sites.map((site) => site.id);
  const pairs = sites.flatMap((from) => sites.filter((to) => to !== from).map((to) => ({ from, to })));
  const uplinks = intent.sites.flatMap((site) => site.nodes.flatMap((node) => node.uplinks.map((uplink) => ({ site: site.id, uplink: uplink.id }))));
  const paths = uplinks.flatMap((one) => uplinks.filter((other) => one.site < other.site).map((other) => pathId(one.uplink, other.uplink)));
  return fc
    .record({
      demands: listOf(pairs, 25, (pair) => ({ pair, classId: fc.constantFrom(...CLASSES.map(({ id }) => id)), mbps: fc.constantFrom(0, 0.03, 0.5, 4, 12, 30, 90) })),
      qualities: listOf(paths, 10, (path) => ({
        path,
        state: fc.constantFrom<PathState>('up', 'up', 'degraded', 'down'),
        latencyMs: fc.integer({ min: 1, max: 200 }),
        lossRatio: fc.constantFrom(0, 0, 0.015, 0.3),
      })),
      hasForecast: fc.integer({ min: 0, max: 7 }).map((roll) => roll > 0),
    })
    .map(({ demands, qualities, hasForecast }) => {
      const unique = [...new Map(demands.map((each) => [`${each.pair.from}>${each.pair.to} ${each.classId}`, each])).values()];
      const forecast: Forecast | null = hasForecast ? { madeAt: now, slotMs: 900_000, model: 'generated', backtest: [], demands: unique.map((each) => forecastOf(each.pair.from, each.pair.to, each.classId, each.mbps, now)) } : null;
      return {
        intent,
        forecast,
        observation: {
          observedAt: now,
          slotMs: 900_000,
          lastSlotEndAt: now,
          demands: unique.slice(0, 4).map((each) => ({ ...each.pair, classId: each.classId, mbps: [each.mbps / 2, null, each.mbps] })),
          paths: [...new Map(qualities.map((each): [string, PathQuality] => [each.path, { path: each.path, state: each.state, latencyMs: each.latencyMs, jitterMs: 2, lossRatio: each.lossRatio, sampledAt: now - 5000 }])).values()],
          tunnels: [],
          nodes: [],
        },
        previous: emptyPlan(intent),
        overrides: [],
        vetoes: [],
        constraints: [],
        now,
        seed: 'generated',
      };
    });
}

/** Up to `maxLength` records about things of a list; none when the list is empty. */
function listOf<T, R>(things: readonly T[], maxLength: number, fields: (thing: fc.Arbitrary<T>) => { [K in keyof R]: fc.Arbitrary<R[K]> }): fc.Arbitrary<R[]> {
  return things.length > 0 ? fc.array(fc.record(fields(fc.constantFrom(...things))) as fc.Arbitrary<R>, { maxLength, size: 'max' }) : fc.constant([]);
}

/** An intent with inputs for it. */
export const situationArbitrary: fc.Arbitrary<PlanInputs> = intentArbitrary.chain((intent) => inputsArbitrary(intent));

/** Two situations of one mesh, an hour apart: what was planned for the first is the previous plan of the second. */
export const changeArbitrary: fc.Arbitrary<[PlanInputs, PlanInputs]> = intentArbitrary.chain((intent) => fc.tuple(inputsArbitrary(intent, NOW - 3_600_000 - 137_000), inputsArbitrary(intent)));

export function emptyPlan(intent: Intent): Plan {
  return { ...EMPTY_PLAN, mesh: intent.mesh.name };
}

export function emptyObservation(now = NOW): Observation {
  return { observedAt: now, slotMs: 900_000, lastSlotEndAt: now, demands: [], paths: [], tunnels: [], nodes: [] };
}

/** A flat forecast: p95 `mbps`, p50 70 % of it. */
export function forecastOf(from: SiteId, to: SiteId, classIdOfDemand: ClassId, mbps: number, now = NOW): Forecast['demands'][number] {
  return { from, to, classId: classIdOfDemand, slots: [0, 1, 2, 3].map((slot) => ({ startAt: now + slot * 900_000, p50: mbps * 0.7, p90: mbps * 0.9, p95: mbps })) };
}

function siteOf(seed: SiteSeed, index: number): Site {
  const id = siteId(`s${index}`);
  const gateways = seed.hasStandby ? ['active' as const, 'standby' as const] : ['active' as const];
  return {
    id,
    location: { city: id, country: 'DE', latitude: seed.latitude, longitude: seed.longitude },
    provider: seed.provider,
    region: `region-${index % 3}`,
    prefixes: [`10.${index}.0.0/24`],
    relay: seed.relay,
    nodes: gateways.map((role, gateway) => {
      const node = nodeId(`s${index}-gw${gateway + 1}`);
      return {
        id: node,
        site: id,
        role,
        tunnelsMax: seed.tunnelsMax,
        cryptoMbps: seed.cryptoMbps,
        lan: { interface: 'lan', address: `10.${index}.0.1/24` },
        uplinks: seed.uplinks.map((uplink, number) => ({
          id: uplinkId(node, `u${number}`),
          name: `u${number}`,
          provider: uplink.provider,
          interface: `isp${number}`,
          address: `100.64.${number}.${index * 2 + gateway + 1}`,
          upMbps: uplink.capacityMbps,
          downMbps: uplink.capacityMbps,
          usdPerGb: uplink.usdPerGb,
          riskGroups: [uplink.risk],
          drain: uplink.drain,
        })),
      };
    }),
  };
}

type ConnectionSeed = typeof connectionSeed extends fc.Arbitrary<infer Seed> ? Omit<Seed, 'between'> & { between: [string, string] } : never;

function connectionOf(seed: ConnectionSeed, index: number): Connection {
  return {
    name: `c${index}`,
    between: seed.between,
    mode: seed.mode,
    minMbps: seed.minMbps,
    maxMbps: seed.maxMbps,
    relays: seed.relays,
    securityProfile: seed.securityProfile,
    backup: seed.backup,
    avoid: { regions: [], providers: seed.avoidsTelekom ? ['telekom'] : [], uplinks: [] },
    classes: seed.classes.map((name) => classId(name)),
  };
}
