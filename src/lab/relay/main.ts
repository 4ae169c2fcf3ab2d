import { createSocket, type Socket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { systemClock } from '../../base/index.ts';
import type { UplinkId } from '../../model/index.ts';
import { createStallMeter } from './stall-meter.ts';
import { serveControl } from '../control/index.ts';
import { INNER_ETHERNET } from './packet.ts';
import type { RelayConfig, RelayEndpoint, SetPathRequest } from './protocol.ts';
import { createWan, type Wan } from './wan.ts';

const SOCKET_BUFFER_BYTES = 4 << 20;

/** The relay process: `node main.js CONFIG.json`, run in the WAN namespace. */
async function main(configFile: string): Promise<void> {
  const config = JSON.parse(readFileSync(configFile, 'utf8')) as RelayConfig;
  const senders = new Map<UplinkId, (datagram: Buffer) => void>();
  const wan = createWan({
    endpoints: config.endpoints,
    profiles: config.profiles,
    seed: config.seed,
    clock: systemClock,
    deliver: (to, datagram) => senders.get(to)?.(datagram),
    slackMs: createStallMeter(systemClock),
  });
  for (const endpoint of config.endpoints) senders.set(endpoint.uplink, await openEndpoint(config, endpoint, wan));
  await serveControl(config.controlSocket, {
    ping: () => 'pong',
    setPath: (request: SetPathRequest) => wan.setPath(request),
    report: () => wan.report(),
  });
}

/** Listens on the uplink's own port and gives the function that sends a datagram to it. */
async function openEndpoint(config: RelayConfig, endpoint: RelayEndpoint, wan: Wan): Promise<(datagram: Buffer) => void> {
  const socket: Socket = createSocket({
    type: 'udp4',
    recvBufferSize: SOCKET_BUFFER_BYTES,
    sendBufferSize: SOCKET_BUFFER_BYTES,
    lookup: (host, _options, done) => done(null, host, 4), // synchronous: the default one costs a turn of the event loop a packet
  });
  const destinationMac = macBytes(endpoint.mac);
  const routerMac = macBytes(config.routerMac);
  socket.on('message', (datagram) => wan.receive(endpoint.uplink, datagram));
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(endpoint.port, config.bindAddress, resolve);
  });
  return (datagram) => {
    datagram.writeUIntBE(endpoint.vni, 4, 3);
    destinationMac.copy(datagram, INNER_ETHERNET);
    routerMac.copy(datagram, INNER_ETHERNET + 6);
    socket.send(datagram, endpoint.port, config.peerAddress, () => undefined); // a full buffer is loss, as on any wire
  };
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

await main(process.argv[2]!);
