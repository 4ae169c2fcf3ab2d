import { classId, type Intent, nodeId, type Provider, siteId, type SiteNode, uplinkId } from '../../src/model/index.ts';

interface SiteSketch {
  name: string;
  place: [latitude: number, longitude: number];
  provider: Provider;
  /** Uplink names of each gateway; the second gateway stands by. */
  gateways: string[][];
}

const FIVE_SITES: SiteSketch[] = [
  { name: 'berlin', place: [52.5, 13.4], provider: 'onprem', gateways: [['fibre', 'lte'], ['fibre', 'lte']] },
  { name: 'paris', place: [48.9, 2.4], provider: 'onprem', gateways: [['fibre', 'dsl']] },
  { name: 'porto', place: [41.2, -8.6], provider: 'onprem', gateways: [['dsl', 'lte']] },
  { name: 'frankfurt', place: [50.1, 8.7], provider: 'aws', gateways: [['igw']] },
  { name: 'amsterdam', place: [52.4, 4.9], provider: 'azure', gateways: [['wan']] },
];

/** The example's shape: five sites, an active and a standby gateway at the first, one or two uplinks. */
export function fiveSiteIntent(): Intent {
  return intentOf(FIVE_SITES);
}

/** Two sites, one gateway with two uplinks each: the least in which a path can be cut and another remain. */
export function twoSiteIntent(): Intent {
  return intentOf(FIVE_SITES.slice(0, 2).map((site) => ({ ...site, gateways: site.gateways.slice(0, 1) })));
}

function intentOf(sites: readonly SiteSketch[]): Intent {
  return {
    commit: null,
    mesh: {
      name: 'lab-test',
      cycleMs: 5000,
      overlayPrefix: '172.30.0.0/16',
      protectedPrefixes: ['10.0.0.0/8', '172.30.0.0/16'],
      utilisationMax: 0.8,
      idleTimeoutMs: 60_000,
      holdMs: 10_000,
      forecast: { slotMs: 5000, slotsPerDay: 48, horizonSlots: 6, provision: 'p90' },
      probe: { intervalMs: 50, downAfter: 3, holdDownMs: 700, holdDownMaxMs: 700 },
      telemetry: { sampleIntervalMs: 1000, connections: false },
      autoApply: { tunnelsMax: 4, sitesMax: 3, trafficShareMax: 0.3, changesPerHourMax: 60 },
      shaping: false,
      vetoMs: 86_400_000,
    },
    sites: sites.map((site, index) => ({
      id: siteId(site.name),
      location: { city: site.name, country: 'EU', latitude: site.place[0], longitude: site.place[1] },
      provider: site.provider,
      region: `eu-${site.name}`,
      prefixes: [`10.${index + 1}.0.0/24`],
      relay: true,
      nodes: site.gateways.map((uplinks, gateway) => nodeOf(site.name, index + 1, gateway + 1, uplinks)),
    })),
    classes: [
      { id: classId('default'), priority: 9, match: [{ protocol: 'any', ports: [], dscp: [] }], sla: { latencyMaxMs: 500, lossMaxRatio: 0.05, jitterMaxMs: 100 }, protection: 'backup', shareRatio: 0, dscp: null },
    ],
    connections: [
      { name: 'all', between: ['*', '*'], mode: 'auto', minMbps: 0, maxMbps: 0, relays: 'allow', securityProfile: 'strong', backup: 'class', avoid: { regions: [], providers: [], uplinks: [] }, classes: [] },
    ],
    securityProfiles: [
      {
        name: 'strong',
        level: 2,
        ike: [{ encryption: 'aes256gcm16', integrity: 'none', prf: 'prfsha384', group: 'x25519' }],
        esp: [{ encryption: 'aes256gcm16', integrity: 'none', prf: 'none', group: 'x25519' }],
        ikeRekeyMs: 14_400_000,
        espRekeyMs: 3_600_000,
        pfs: true,
        postQuantum: 'off',
      },
    ],
  };
}

function nodeOf(site: string, siteNumber: number, gateway: number, uplinks: readonly string[]): SiteNode {
  const id = nodeId(`${site}-gw${gateway}`);
  return {
    id,
    site: siteId(site),
    role: gateway === 1 ? 'active' : 'standby',
    tunnelsMax: 20,
    cryptoMbps: 200,
    lan: { interface: 'lan', address: `10.${siteNumber}.0.1/24` },
    uplinks: uplinks.map((name, position) => ({
      id: uplinkId(id, name),
      name,
      provider: `${name}-co`,
      interface: `isp${position + 1}`,
      address: `100.64.${position + 1}.${siteNumber * 16 + gateway}`,
      upMbps: 20,
      downMbps: 20,
      usdPerGb: 0.02,
      riskGroups: [],
      drain: false,
    })),
  };
}
