import { addressAt } from '../../base/index.ts';
import { classId, nodeId, pathId, siteId, uplinkId, type NodeConfig, type NodeTunnel, type Steering, type TunnelId } from '../../model/index.ts';

export const ENDS = ['left', 'right'] as const;
export type End = (typeof ENDS)[number];

/** So many uplink addresses an end has; each pair of two is a path. */
const UPLINKS_MAX = 64;
const OVERLAY = '172.30.0.0/16';
const SUITE = { encryption: 'aes128gcm16', integrity: 'none', prf: 'prfsha256', group: 'x25519' } as const;

export const nodeOf = (end: End): ReturnType<typeof nodeId> => nodeId(`${end}-gw1`);

/** The underlay addresses of one end; all on one interface, `wan`. */
export function uplinkAddresses(end: End, tunnels: number): string[] {
  const count = Math.min(UPLINKS_MAX, Math.ceil(Math.sqrt(tunnels)));
  return Array.from({ length: count }, (_, index) => addressAt(end === 'left' ? '100.64.0.0/24' : '100.64.1.0/24', index + 1));
}

/**
 * The config of one of two gateways with so many tunnels between them, over as many paths. Every two tunnels serve one
 * far site, as primary and as backup, so half of them carry traffic and half stand by.
 * @param tunnels  2 … 4096
 */
export function agentBenchConfig(end: End, tunnels: number, probe: { intervalMs: number; downAfter: number }): NodeConfig {
  const far = end === 'left' ? 'right' : 'left';
  const [own, others] = [uplinkAddresses(end, tunnels), uplinkAddresses(far, tunnels)];
  const list = Array.from({ length: tunnels }, (_, index) => tunnelAt(end, far, index, own, others));
  const sites = Array.from({ length: Math.ceil(tunnels / 2) }, (_, index) => ({ id: siteId(`${far}-${index}`), prefixes: [`10.${end === 'left' ? 128 + (index >> 8) : index >> 8}.${index & 255}.0/24`] }));
  const home = { id: siteId(`${end}-home`), prefixes: [end === 'left' ? '10.90.0.0/24' : '10.91.0.0/24'] };
  return {
    schema: 'foremesh/node-config/v1',
    node: nodeOf(end),
    site: home.id,
    serving: true,
    lan: { interface: 'lan', address: addressAt(home.prefixes[0]!, 1), prefixes: home.prefixes },
    uplinks: own.map((address, index) => ({ name: `wan${index}`, interface: 'wan', address })),
    protectedPrefixes: ['10.0.0.0/8', OVERLAY],
    probe: { ...probe, holdDownMs: 1000, holdDownMaxMs: 60_000 },
    sampleIntervalMs: 10_000,
    classes: [{ id: classId('all'), priority: 0, match: [{ protocol: 'any', ports: [], dscp: [] }] }],
    sites: [home, ...sites],
    tunnels: list,
    steering: sites.map(({ id, prefixes }, index): Steering => ({ to: id, prefixes, classId: classId('all'), lanes: [{ mark: 0x1000 + index, weight: 100, tunnels: list.slice(2 * index, 2 * index + 2).map((tunnel) => tunnel.id) }] })),
    allow: sites.map(({ prefixes }) => ({ from: home.prefixes, to: prefixes })),
  };
}

function tunnelAt(end: End, far: End, index: number, own: readonly string[], others: readonly string[]): NodeTunnel {
  const [row, column] = [Math.floor(index / own.length), index % own.length];
  const [local, remote] = end === 'left' ? [row, column] : [column, row];
  const overlayOf = (one: End): string => addressAt(OVERLAY, 4 + 2 * index + (one === 'left' ? 0 : 1));
  const path = pathId(uplinkId(nodeOf(end), `wan${local}`), uplinkId(nodeOf(far), `wan${remote}`));
  return {
    id: `t-${(index + 1).toString(16).padStart(8, '0')}` as TunnelId,
    path,
    peer: nodeOf(far),
    initiator: end === 'left',
    local: { interface: 'wan', address: own[local]!, overlay: overlayOf(end) },
    remote: { address: others[remote]!, overlay: overlayOf(far) },
    ike: [SUITE],
    esp: [{ ...SUITE, prf: 'none' }],
    ikeRekeyMs: 14_400_000,
    espRekeyMs: 3_600_000,
  };
}
