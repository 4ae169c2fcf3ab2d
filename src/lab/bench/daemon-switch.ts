import { ViciConnection, textAt } from '../../../agent/vici/index.ts';
import { ForemeshError, runCommand } from '../../base/index.ts';
import type { PathId } from '../../model/index.ts';
import { gatewayFiles } from '../gateway-process.ts';
import type { LabWorld } from '../lab-world.ts';

/**
 * What people have without us: routes that follow the daemon. When charon says that the SA of a path went (its dead peer
 * detection), lanes that point into that tunnel are pointed into the other one, at both ends, as an updown script would.
 */
export async function watchDaemonSwitch(world: LabWorld, path: PathId): Promise<{ close(): Promise<void> }> {
  const connections: ViciConnection[] = [];
  for (const { node, namespace } of world.network.layout.gateways) {
    const tunnels = await world.listTunnels(node);
    const [dying, other] = [tunnels.find((tunnel) => isOver(tunnel.localAddress, tunnel.remoteAddress, path, world)), tunnels.find((tunnel) => !isOver(tunnel.localAddress, tunnel.remoteAddress, path, world))];
    if (!dying || !other) throw new ForemeshError('LAB_FAILED', { what: `${node} has not two tunnels to switch between`, fix: 'see charon’s log' });
    const connection = await ViciConnection.open(gatewayFiles(world.network, node).viciSocket, world.clock);
    connections.push(connection);
    await connection.subscribe('ike-updown', (message) => {
      if (textAt(message, 'up') === 'yes' || !(dying.tunnel in message)) return;
      void switchRoutes(namespace, dying.tunnel, other.tunnel, other.remoteOverlay ?? '');
    });
  }
  return {
    async close() {
      for (const connection of connections) connection.close();
    },
  };
}

function isOver(local: string, remote: string, path: PathId, world: LabWorld): boolean {
  const uplinkOf = (address: string): string => world.network.layout.gateways.flatMap(({ uplinks }) => uplinks).find((uplink) => uplink.address === address)?.uplink ?? '?';
  return path.includes(uplinkOf(local)) && path.includes(uplinkOf(remote));
}

/** Every route of every table that goes out through one tunnel, into the other. */
async function switchRoutes(namespace: string, from: string, to: string, via: string): Promise<void> {
  const listed = await runCommand('ip', ['-n', namespace, '-j', 'route', 'show', 'table', 'all']);
  const routes = JSON.parse(listed.stdout.toString('utf8')) as { dst: string; dev?: string; table?: string }[];
  const lines = routes.filter(({ dev, table }) => dev === from && table !== undefined).map(({ dst, table }) => `route replace ${dst} via ${via} dev ${to} onlink table ${table}`);
  await runCommand('ip', ['-n', namespace, '-force', '-batch', '-'], { stdin: `${lines.join('\n')}\n` });
}
