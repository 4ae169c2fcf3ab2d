import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { WebSocketServer, type WebSocket } from 'ws';
import { createLog, messageOf, systemClock, type Cancel, type Clock, type Log } from '../base/index.ts';
import { CHANNEL_PROTOCOL, FRAME_BYTES_MAX } from '../model/index.ts';
import type { AgentHub } from './hub.ts';
import { createRequestHandler, type ChannelAuthority } from './http.ts';
import { peerOf, type Peer } from './peer.ts';
import { serveSession, type ChannelCounters } from './session.ts';

export interface ListenOptions {
  hub: AgentHub;
  authority: ChannelAuthority;
  /** Names and addresses by which agents reach us; they stand in our certificate. */
  hosts: string[];
  /** To listen on. */
  address: string;
  /** 0: any free one. */
  port: number;
  /** Given to agents: whose signature on a config counts. */
  signersFile: string;
  clock?: Clock;
  log?: Log;
}

export interface ChannelListener {
  port: number;
  counters(): ChannelCounters;
  /** Closes every connection; agents come back by themselves. */
  close(): Promise<void>;
}

/** All of it is set anew with a new certificate: what is left out would fall back to Node's defaults. */
interface ServerContext {
  key: string;
  cert: string;
  ca: string;
  minVersion: 'TLSv1.3';
}

const RETRY_MS = 60_000;
const TIMER_MAX_MS = 2_000_000_000;

/**
 * Listens for agents with TLS 1.3: `/enrol` and `/signers` for anybody, `/renew` and the WebSocket `/channel` with a node's own
 * certificate of our CA only. Our own certificate is replaced at half its life without closing connections.
 */
export async function listenChannel(options: ListenOptions): Promise<ChannelListener> {
  const clock = options.clock ?? systemClock;
  const log = options.log ?? createLog('channel');
  const { hub, authority } = options;
  const counters: ChannelCounters = { accepted: 0, refused: 0, invalidMessages: 0, throttled: 0, deadPeers: 0 };
  const secureContext = async (): Promise<ServerContext> => {
    const { keyPem, certificatePem } = await authority.serverCredentials(options.hosts);
    return { key: keyPem, cert: certificatePem, ca: authority.caPem, minVersion: 'TLSv1.3' };
  };

  const first = await secureContext();
  const server = createServer(
    { ...first, requestCert: true, rejectUnauthorized: false, handshakeTimeout: 10_000, headersTimeout: 10_000, requestTimeout: 15_000, maxHeaderSize: 8192 },
    createRequestHandler({ authority, signersFile: options.signersFile, clock, log }),
  );
  server.maxConnections = 5000;
  server.on('tlsClientError', (cause) => log.debug({ error: messageOf(cause) }, 'a TLS handshake failed'));
  const peers = new Map<WebSocket, Peer>();
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: FRAME_BYTES_MAX,
    perMessageDeflate: false,
    handleProtocols: (protocols) => (protocols.has(CHANNEL_PROTOCOL) ? CHANNEL_PROTOCOL : false),
  });
  server.on('upgrade', onUpgrade);
  const cancelRevoked = authority.onRevoked(onRevoked);
  const cancelRenewal = keepCertificateFresh(server, first.cert, secureContext, clock, log);
  hub.setRevocations(await authority.revocationsMessage());
  await listen(server, options.port, options.address);

  function onUpgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((text) => text.trim());
    const peer = peerOf(stream as TLSSocket, clock.now());
    if (request.url !== '/channel' || !protocols.includes(CHANNEL_PROTOCOL)) return refuse(stream, '400 Bad Request', 'not a channel of this version');
    if (!peer) return refuse(stream, '401 Unauthorized', 'no valid certificate of a node');
    if (authority.isRevoked(peer.keySha256)) return refuse(stream, '401 Unauthorized', 'its key was revoked');
    sockets.handleUpgrade(request, stream, head, (socket) => {
      counters.accepted++;
      peers.set(socket, peer);
      socket.on('close', () => peers.delete(socket));
      serveSession(socket, peer, { hub, clock, log, counters });
    });
  }

  /** Whoever is revoked is cut off at once, and before the others are told. */
  function onRevoked(): void {
    for (const [socket, peer] of peers) {
      if (!authority.isRevoked(peer.keySha256)) continue;
      log.warn({ node: peer.node }, 'its key was revoked; the connection is closed');
      socket.terminate();
    }
    authority
      .revocationsMessage()
      .then((message) => hub.setRevocations(message))
      .catch((cause: unknown) => log.error({ error: messageOf(cause) }, 'agents could not be told of a revocation; they are told when they connect'));
  }

  function refuse(stream: Duplex, status: string, why: string): void {
    counters.refused++;
    log.warn({ from: (stream as TLSSocket).remoteAddress, why }, 'a connection was refused');
    stream.on('error', () => stream.destroy());
    stream.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  }

  return {
    port: (server.address() as AddressInfo).port,
    counters: () => ({ ...counters }),
    async close() {
      cancelRenewal();
      cancelRevoked();
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      await closed;
    },
  };
}

function keepCertificateFresh(server: Server, certPem: string, make: () => Promise<ServerContext>, clock: Clock, log: Log): Cancel {
  let cancel: Cancel = () => undefined;
  let isStopped = false;
  const schedule = (delayMs: number): void => {
    if (!isStopped) cancel = clock.setTimer(Math.min(TIMER_MAX_MS, Math.max(1000, delayMs)), () => void renew());
  };
  const halfLife = (cert: string): number => (Date.parse(new X509Certificate(cert).validTo) - clock.now()) / 2;
  const renew = async (): Promise<void> => {
    try {
      const next = await make();
      server.setSecureContext(next);
      log.info('the listener has a new certificate');
      schedule(halfLife(next.cert));
    } catch (cause) {
      log.error({ error: messageOf(cause) }, 'the listener’s certificate could not be renewed; trying again');
      schedule(RETRY_MS);
    }
  };
  schedule(halfLife(certPem));
  return () => {
    isStopped = true;
    cancel();
  };
}

function listen(server: Server, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      server.off('error', reject);
      server.on('error', () => undefined); // an error of one connection; each has its own handler
      resolve();
    });
  });
}
