import { createHash } from 'node:crypto';
import { classId, type CryptoSuite, nodeId, type NodeConfig, type NodeTunnel, pathId, type SignedConfig, siteId, type Steering, type TunnelId, uplinkId } from '../../src/model/index.ts';
import { ForemeshError } from '../../src/base/index.ts';
import { laneMark } from './agent-ports.ts';

export const berlin = nodeId('berlin-gw1');
export const paris = nodeId('paris-gw1');
/** Three tunnels between the same two nodes, told apart by their numbers. */
export const t1 = 't-00000001' as TunnelId;
export const t2 = 't-00000002' as TunnelId;
export const t3 = 't-00000003' as TunnelId;

const ike: CryptoSuite = { encryption: 'aes256gcm16', integrity: 'none', prf: 'prfsha256', group: 'x25519' };
const esp: CryptoSuite = { encryption: 'aes256gcm16', integrity: 'none', prf: 'none', group: 'x25519' };

/** One end's view of a tunnel between berlin and paris; berlin initiates. */
export function tunnelOf(node: typeof berlin, tunnel: TunnelId, index = Number.parseInt(tunnel.slice(2), 16)): NodeTunnel {
  const isBerlin = node === berlin;
  const [near, far] = isBerlin ? [1, 2] : [2, 1];
  return {
    id: tunnel,
    path: pathId(uplinkId(berlin, `up${index}`), uplinkId(paris, `up${index}`)),
    peer: isBerlin ? paris : berlin,
    initiator: isBerlin,
    local: { interface: `isp${index}`, address: `100.64.${index}.${near}`, overlay: `10.255.${index}.${near}` },
    remote: { address: `100.64.${index}.${far}`, overlay: `10.255.${index}.${far}` },
    ike: [ike],
    esp: [esp],
    ikeRekeyMs: 14_400_000,
    espRekeyMs: 3_600_000,
  };
}

/** The config of one end: `lanes` are lists of tunnels for class `voice` to the other site; [] is a node without traffic. */
export function configOf(node: typeof berlin, tunnels: readonly TunnelId[], lanes: readonly TunnelId[][], changes: Partial<NodeConfig> = {}): NodeConfig {
  const isBerlin = node === berlin;
  const sites = [
    { id: siteId('berlin'), prefixes: ['10.1.0.0/24'] },
    { id: siteId('paris'), prefixes: ['10.2.0.0/24'] },
  ];
  const [own, other] = isBerlin ? [sites[0]!, sites[1]!] : [sites[1]!, sites[0]!];
  const steering: Steering[] = lanes.length === 0 ? [] : [{ to: other.id, prefixes: other.prefixes, classId: classId('voice'), lanes: lanes.map((list) => ({ mark: laneMark(list), weight: Math.floor(100 / lanes.length), tunnels: list })) }];
  return {
    schema: 'foremesh/node-config/v1',
    node,
    site: own.id,
    serving: true,
    lan: { interface: 'lan', address: isBerlin ? '10.1.0.1/24' : '10.2.0.1/24', prefixes: own.prefixes },
    uplinks: [1, 2, 3].map((index) => ({ name: `up${index}`, interface: `isp${index}`, address: `100.64.${index}.${isBerlin ? 1 : 2}` })),
    protectedPrefixes: ['10.0.0.0/8'],
    probe: { intervalMs: 50, downAfter: 3, holdDownMs: 1_000, holdDownMaxMs: 1_000 },
    sampleIntervalMs: 5_000,
    classes: [{ id: classId('voice'), priority: 0, match: [] }],
    sites,
    tunnels: tunnels.map((tunnel) => tunnelOf(node, tunnel)),
    steering,
    allow: [{ from: own.prefixes, to: other.prefixes }],
    ...changes,
  };
}

/** A SignedConfig whose blob is JSON; `verifyForTest` is its verifier. Where signatures matter, tests use real ones. */
export function signedForTest(config: NodeConfig, generation: number, salt = '', signedAt = 0): SignedConfig {
  const blob = Buffer.from(JSON.stringify({ generation, config, salt, signedAt })).toString('base64');
  return { schema: 'foremesh/signed-config/v1', node: config.node, commit: createHash('sha1').update(blob).digest('hex'), commitObject: '', trees: ['', '', ''], blob };
}

export async function verifyForTest(signed: SignedConfig): Promise<{ generation: number; commit: string; signedAt: number; config: NodeConfig }> {
  if (createHash('sha1').update(signed.blob).digest('hex') !== signed.commit) throw new ForemeshError('AGENT_PLAN_INVALID', { what: 'the blob does not have the id of the commit', fix: 'none' });
  const { generation, signedAt = 0, config } = JSON.parse(Buffer.from(signed.blob, 'base64').toString('utf8')) as { generation: number; signedAt?: number; config: NodeConfig };
  return { generation, commit: signed.commit, signedAt, config };
}
