// Made-up meshes that are short of capacity or tunnel slots, as inputs of the engine's planning: for tools/mesh-gaps.mjs and tests.
/** Monday noon. */
export const NOW = Date.UTC(2026, 0, 5, 12);

/** Sites between Lisbon and Warsaw, one in four relays, each with two or three uplinks; demand by gravity in three classes, `load` 1 being more than everything can carry. */
export function makeInputs(createRng, { sites, seed, load = 1, slots = 12 }) {
  const rng = createRng(`mesh-${sites}-${seed}`);
  const weights = Array.from({ length: sites }, () => Math.exp(0.8 * rng.gaussian()));
  const made = weights.map((weight, index) => siteOf(rng, index, weight, slots));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const demands = [];
  for (const [i, from] of made.entries()) {
    for (const [j, to] of made.entries()) {
      if (i === j || rng.next() < 0.3) continue;
      for (const [classId, share] of [['voice', 0.1], ['business', 0.3], ['bulk', 0.6]]) {
        if (rng.next() < 0.3) continue;
        const mbps = (load * share * 300 * weights[i] * weights[j] * Math.exp(0.5 * rng.gaussian())) / total;
        demands.push({ from: from.id, to: to.id, classId, slots: [0, 1, 2, 3].map((slot) => ({ startAt: NOW + slot * 900_000, p50: 0.7 * mbps, p90: 0.9 * mbps, p95: mbps })) });
      }
    }
  }
  const intent = {
    commit: null,
    mesh: { name: 'made', cycleMs: 60_000, overlayPrefix: '172.30.0.0/16', protectedPrefixes: [], utilisationMax: 0.8, idleTimeoutMs: 1_800_000, holdMs: 600_000, forecast: { slotMs: 900_000, slotsPerDay: 96, horizonSlots: 4, provision: 'p95' }, probe: { intervalMs: 50, downAfter: 4, holdDownMs: 60_000, holdDownMaxMs: 600_000 }, telemetry: { sampleIntervalMs: 10_000, connections: false }, autoApply: { tunnelsMax: 4, sitesMax: 3, trafficShareMax: 0.5, changesPerHourMax: 20 }, shaping: false, vetoMs: 86_400_000 },
    sites: made,
    classes: [
      { id: 'voice', priority: 0, match: [], sla: { latencyMaxMs: 60, lossMaxRatio: 0.01, jitterMaxMs: 30 }, protection: 'backup', shareRatio: 0, dscp: null },
      { id: 'business', priority: 1, match: [], sla: { latencyMaxMs: 150, lossMaxRatio: 0.02, jitterMaxMs: 100 }, protection: 'none', shareRatio: 0, dscp: null },
      { id: 'bulk', priority: 2, match: [], sla: { latencyMaxMs: 1000, lossMaxRatio: 0.05, jitterMaxMs: 1000 }, protection: 'none', shareRatio: 0, dscp: null },
    ],
    connections: [{ name: 'all', between: ['*', '*'], mode: 'auto', minMbps: 0, maxMbps: 0, relays: 'allow', securityProfile: 'standard', backup: 'class', avoid: { regions: [], providers: [], uplinks: [] }, classes: [] }],
    securityProfiles: [{ name: 'standard', level: 2, ike: [], esp: [], ikeRekeyMs: 14_400_000, espRekeyMs: 3_600_000, pfs: true, postQuantum: 'off' }],
  };
  return { intent, forecast: { madeAt: NOW, slotMs: 900_000, model: 'made', backtest: [], demands }, pathForecast: null, observation: { observedAt: NOW, slotMs: 900_000, lastSlotEndAt: NOW, demands: [], paths: [], tunnels: [], nodes: [] }, previous: { schema: 'foremesh/plan/v1', mesh: 'made', servingNodes: [], tunnels: [], assignments: [], admitted: [], securityProfiles: [], overrides: [], vetoes: [] }, overrides: [], vetoes: [], constraints: [], now: NOW, seed: 'made' };
}

function siteOf(rng, index, weight, slots) {
  const id = `s${String(index).padStart(2, '0')}`;
  const node = `${id}-gw`;
  const isRelay = index % 4 === 0;
  const uplinks = Array.from({ length: 2 + rng.integer(2) }, (_, number) => {
    const mbps = [50, 100, 200][rng.integer(3)] * (isRelay ? 2 : 1) * Math.max(0.5, Math.min(2, weight));
    return { id: `${node}/u${number}`, name: `u${number}`, provider: ['north', 'south', 'west'][rng.integer(3)], interface: `isp${number}`, address: `100.64.${number}.${index + 1}`, upMbps: mbps, downMbps: mbps, usdPerGb: [0, 0.02, 0.09][number], riskGroups: [`duct-${rng.integer(5)}`], drain: false };
  });
  return { id, location: { city: id, country: 'DE', latitude: 38 + 14 * rng.next(), longitude: -9 + 30 * rng.next() }, provider: 'onprem', region: `region-${index % 3}`, prefixes: [`10.${index}.0.0/24`], relay: isRelay, nodes: [{ id: node, site: id, role: 'active', tunnelsMax: isRelay ? 2 * slots : slots, cryptoMbps: 2000, lan: { interface: 'lan', address: `10.${index}.0.1/24` }, uplinks }] };
}
