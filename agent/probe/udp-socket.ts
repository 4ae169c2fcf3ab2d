import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { ForemeshError, messageOf } from '../../src/base/index.ts';
import { bindSocket } from '../bind-socket.ts';
import type { ProbePort, ProbeSocket } from '../ports.ts';

/** Both ends listen on and send to this port of the overlay addresses. */
export const PROBE_PORT = 8622;

/**
 * Carries probes in UDP between the overlay addresses of a tunnel: inside its ESP, beside its traffic, past the
 * interface that traffic goes through. One socket a tunnel, bound to the tunnel's own address, so a packet that comes
 * in is that tunnel's; packets of any other sender are dropped.
 * A send never fails to its caller: a lost probe is the very thing that is measured.
 * @throws ForemeshError PROBE_FAILED from `open` when the overlay address is not there (yet) or the port is taken
 */
export function createUdpProbePort(options: { port?: number } = {}): ProbePort {
  const port = options.port ?? PROBE_PORT;
  return {
    async open(tunnel, localOverlay, remoteOverlay, onPacket) {
      const socket = createSocket({ type: 'udp4', reuseAddr: false, lookup: asAddress });
      try {
        await bindSocket(socket, port, localOverlay);
      } catch (cause) {
        socket.close();
        throw new ForemeshError('PROBE_FAILED', {
          what: `the probe socket of ${tunnel} cannot be bound to ${localOverlay}:${port}: ${messageOf(cause)}`,
          fix: 'nothing, if it happens once; else see whether the address is on lo and what else uses the port',
          cause,
        });
      }
      socket.on('error', () => undefined); // what the kernel would not take shows as a lost probe
      socket.on('message', (packet: Buffer, from: RemoteInfo) => {
        if (from.address === remoteOverlay && from.port === port) onPacket(packet);
      });
      return probeSocket(socket, port, remoteOverlay);
    },
  };
}

function probeSocket(socket: Socket, port: number, remoteOverlay: string): ProbeSocket {
  let open = true;
  return {
    send(packet) {
      if (open) socket.send(packet, port, remoteOverlay); // without a callback: one for each packet costs more than the packet
    },
    close() {
      if (!open) return;
      open = false;
      socket.close();
    },
  };
}

/** The destinations are addresses already; the resolver's thread pool would only add delay to a probe. */
function asAddress(hostname: string, _options: unknown, callback: (error: NodeJS.ErrnoException | null, address: string, family: number) => void): void {
  callback(null, hostname, 4);
}
