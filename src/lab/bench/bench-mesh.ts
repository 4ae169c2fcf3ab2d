import { FindingsError, type SourceFile } from '../../base/index.ts';
import { loadIntent, readConfigFolder } from '../../intent/index.ts';
import { siteId, type Intent } from '../../model/index.ts';
import { readPolicyFolder } from '../../policy/index.ts';

export const NEAR = siteId('near');
export const FAR = siteId('far');

export interface BenchMesh {
  intent: Intent;
  files: SourceFile[];
}

/** `fleeting`: as `pair`, but a tunnel that nobody needs goes after seconds; `gateways`: the near site has a second one that stands by; `sharing`: it has a second one that carries half of its traffic; `families`: as `gateways`, the cables are IPv6, and hosts have both families. */
export type BenchMeshKind = 'pair' | 'fleeting' | 'gateways' | 'sharing' | 'families';

/** Two sites with two uplinks each that share nothing, always connected, with a standby tunnel; suites as shipped. Voice has a backup, control is sent twice. */
export async function createBenchMesh(sourceDir: string, probe: { intervalMs: number; downAfter: number }, kind: BenchMeshKind = 'pair'): Promise<BenchMesh> {
  const isDual = kind === 'families';
  const shipped = (await readConfigFolder(sourceDir)).filter(({ file }) => file.endsWith('/security.yaml'));
  const files = [...shipped, { file: 'mesh-config/mesh.yaml', text: meshYaml(probe, isDual, kind === 'fleeting' ? '10s' : '1h') }, { file: 'mesh-config/bench.yaml', text: [siteYaml(1, 'near', kind === 'pair' || kind === 'fleeting' ? [1] : [1, 3], kind), siteYaml(2, 'far', [2], kind), ...CLASSES_YAML, CONNECTION_YAML].join('---\n') }];
  const loaded = loadIntent(files, null);
  if (!loaded.ok) throw new FindingsError(loaded.findings);
  return { intent: loaded.value.intent, files: [...files, ...(await readPolicyFolder(sourceDir))] };
}

const meshYaml = ({ intervalMs, downAfter }: { intervalMs: number; downAfter: number }, isDual: boolean, idleTimeout: string): string => `apiVersion: foremesh/v1
kind: Mesh
name: bench
cycle: 5s
overlayPrefix: 172.30.0.0/16
protectedPrefixes: [10.0.0.0/8, 172.30.0.0/16${isDual ? ', "fd00::/8"' : ''}]
utilisationMax: 80%
idleTimeout: ${idleTimeout}
hold: 1s
forecast: { slot: 1m, slotsPerDay: 1440, horizonSlots: 4, provision: p95 }
probe: { interval: ${intervalMs}ms, downAfter: ${downAfter}, holdDown: 1s, holdDownMax: 1s }
telemetry: { sampleInterval: 1s }
autoApply: { tunnelsMax: 100, sitesMax: 100, trafficShareMax: 100%, changesPerHourMax: 10000 }
vetoFor: 1s
`;

/** @param hosts  last bytes of the gateways' uplink addresses, the active one's first, or all active when they share */
const siteYaml = (number: number, name: string, hosts: readonly number[], kind: BenchMeshKind): string => `apiVersion: foremesh/v1
kind: Site
name: ${name}
location: { city: Berlin, country: DE, latitude: 52.5, longitude: ${13 + number} }
provider: onprem
region: bench
prefixes: [10.${number}.0.0/24${kind === 'families' ? `, "fd00:${number}::/64"` : ''}]
nodes:
${hosts.map((host, index) => nodeYaml(number, name, index, host, kind)).join('')}`;

const nodeYaml = (site: number, name: string, index: number, host: number, kind: BenchMeshKind): string => `  - name: ${name}-gw${index + 1}
    role: ${index === 0 || kind === 'sharing' ? 'active' : 'standby'}
    tunnelsMax: 16
    lan: { interface: lan, address: 10.${site}.0.${kind === 'sharing' ? index + 1 : 1}/24${kind === 'families' ? `, address6: "fd00:${site}::1/64"` : ''} }
    uplinks:
      - { name: fibre, provider: one, interface: isp1, address: 100.64.1.${host}, up: 50Mbps, down: 50Mbps, riskGroups: [${name}-north] }
      - { name: cable, provider: other, interface: isp2, address: ${kind === 'families' ? `"2001:db8:2::${host}"` : `100.64.2.${host}`}, up: 50Mbps, down: 50Mbps, riskGroups: [${name}-south] }
`;

const CONNECTION_YAML = `apiVersion: foremesh/v1
kind: Connection
name: pair
between: [near, far]
mode: always
min: 2Mbps
`;

const CLASSES_YAML = [
  { name: 'voice', priority: 0, ports: '5000-5099', protection: 'backup' },
  { name: 'control', priority: 1, ports: '6000-6099', protection: 'duplicate' },
].map(
  ({ name, priority, ports, protection }) => `apiVersion: foremesh/v1
kind: TrafficClass
name: ${name}
priority: ${priority}
match: [{ protocol: udp, ports: [${ports}] }]
sla: { latencyMax: 150ms, lossMax: 1%, jitterMax: 30ms }
protection: ${protection}
`,
);
CLASSES_YAML.push(`apiVersion: foremesh/v1
kind: TrafficClass
name: bulk
priority: 2
`);
