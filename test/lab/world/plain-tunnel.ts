import { runCommandText } from '../../../src/base/index.ts';
import type { LabNetwork } from '../../../src/lab/network.ts';
import { bareAddress, type GatewayLayout } from '../../../src/lab/net/index.ts';
import { nodeOfUplink, type PathId, uplinksOfPath } from '../../../src/model/index.ts';

/** Runs a program in a gateway's namespace and gives its output. */
export function inGateway(gateway: GatewayLayout, program: string, ...args: string[]): Promise<string> {
  return runCommandText('ip', ['netns', 'exec', gateway.namespace, program, ...args]);
}

export function gatewayAt(network: LabNetwork, node: string): GatewayLayout {
  return network.layout.gateways.find((gateway) => gateway.node === node)!;
}

/**
 * Joins the LANs of two sites over one path without any daemon: plain VXLAN on UDP 4500, which the underlay takes for
 * ESP as its first word is not zero. What agents do, for tests of the network alone. With a charon, which has that port,
 * another must be used.
 */
export async function joinSites(network: LabNetwork, path: PathId, port = 4500): Promise<void> {
  const ends = uplinksOfPath(path).map((uplink) => {
    const gateway = gatewayAt(network, nodeOfUplink(uplink));
    return { gateway, uplink: gateway.uplinks.find((one) => one.uplink === uplink)!, host: network.layout.hosts.find((one) => one.site === gateway.site)! };
  });
  for (const [near, far] of [ends, ends.toReversed()] as [(typeof ends)[number], (typeof ends)[number]][]) {
    const lines = [
      `addr add ${near.host.gatewayAddresses[0]}/${near.host.prefixLength} dev ${near.gateway.lanInterface}`,
      `link add plain type vxlan id 1 local ${near.uplink.address} remote ${far.uplink.address} dev ${near.uplink.interface} dstport ${port} srcport ${port} ${port + 1} noudpcsum`,
      `addr add 172.31.0.${near === ends[0] ? 1 : 2}/30 dev plain`,
      'link set plain mtu 1400 up',
      `route add ${bareAddress(far.host.address)}/32 via 172.31.0.${near === ends[0] ? 2 : 1} dev plain`,
    ];
    await runCommandText('ip', ['-n', near.gateway.namespace, '-batch', '-'], { stdin: `${lines.join('\n')}\n` });
  }
}
