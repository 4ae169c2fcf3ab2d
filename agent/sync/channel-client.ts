import type * as Ws from 'ws';
import { createRng, messageOf, requireCommonJs, type Cancel, type Clock, type Log } from '../../src/base/index.ts';
import { CHANNEL_PROTOCOL, createSampleEncoder, FRAME_BYTES_MAX, isPackable, type AgentMessage, type EngineMessage, type NodeId, type PackedSamplesMessage, type RefusedSamples, type SampleEncoder, type SamplesMessage } from '../../src/model/index.ts';
import type { Credentials } from '../ports.ts';
import { serverName } from './engine-request.ts';

const { WebSocket } = requireCommonJs<typeof Ws>('ws');

export interface ChannelOptions {
  host: string;
  port: number;
  node: NodeId;
  /** Or a function that is asked at each connection, so that a renewed certificate is used from the next one on. */
  credentials: Credentials | (() => Credentials);
  clock: Clock;
  log: Log;
  onMessage(message: EngineMessage): void;
  /** Connected and checked: the agent now says hello. */
  onOpen(): void;
  onClose(): void;
  /** Of the jitter between attempts; default the node's name. */
  seed?: string;
}

export interface Channel {
  /** Hands the message over for sending; false when there is no connection, it is too slow, or the message is too large. */
  send(message: AgentMessage): boolean;
  close(): void;
}

const FIRST_DELAY_MS = 500;
const DELAY_MAX_MS = 30_000;
/** A connection that lived so long starts the waiting times anew. */
const STEADY_MS = 10_000;
/** The engine pings every 10 s. */
const SILENCE_MAX_MS = 35_000;
const BACKLOG_BYTES_MAX = 8_388_608;
/** A config comes with the trees that prove it, in base64; `createVerifier` has the exact bounds. */
const INCOMING_BYTES_MAX = 4 * FRAME_BYTES_MAX;

/** Keeps one WebSocket to the engine over mutual TLS 1.3, pinned to our CA, for as long as it is not closed; losing it is normal. */
export function connectChannel(options: ChannelOptions): Channel {
  const { clock, log, host, port, node } = options;
  const rng = createRng(options.seed ?? node).fork('channel-reconnect');
  const timers = new Map<string, Cancel>();
  let socket: Ws.WebSocket | null = null;
  let encoder: SampleEncoder | null = null;
  let attempts = 0;
  let openedAtMs = 0;
  let isClosed = false;

  connect();

  function connect(): void {
    try {
      open();
    } catch (cause) {
      log.error({ error: messageOf(cause) }, 'the credentials cannot be used for a connection; trying again');
      retry();
    }
  }

  function open(): void {
    const { caPem, certificatePem, privateKeyPem } = typeof options.credentials === 'function' ? options.credentials() : options.credentials;
    const next = new WebSocket(`wss://${host.includes(':') ? `[${host}]` : host}:${port}/channel`, [CHANNEL_PROTOCOL], {
      ca: caPem,
      cert: certificatePem,
      key: privateKeyPem,
      ...serverName(host),
      minVersion: 'TLSv1.3',
      handshakeTimeout: 10_000,
      maxPayload: INCOMING_BYTES_MAX,
      perMessageDeflate: false,
      followRedirects: false,
    });
    socket = next;
    let wasOpen = false;
    next.on('open', () => {
      wasOpen = true;
      encoder = createSampleEncoder();
      openedAtMs = clock.monotonicMs();
      log.info({ host, port }, 'connected to the engine');
      watch(next);
      options.onOpen();
    });
    next.on('ping', () => watch(next));
    next.on('message', (data, isBinary) => {
      watch(next);
      receive(next, data, isBinary);
    });
    next.on('error', (cause) => log.warn({ host, port, error: messageOf(cause) }, 'the connection to the engine failed'));
    next.on('close', (code) => {
      timers.get('silence')?.();
      if (socket === next) socket = null;
      if (wasOpen) {
        log.info({ code }, 'disconnected from the engine');
        options.onClose();
      }
      if (!isClosed) retry();
    });
  }

  function retry(): void {
    if (openedAtMs > 0 && clock.monotonicMs() - openedAtMs >= STEADY_MS) attempts = 0;
    openedAtMs = 0;
    const fullMs = Math.min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** attempts);
    attempts = Math.min(attempts + 1, 10);
    setTimer('retry', fullMs * (0.5 + rng.next() / 2), connect);
  }

  function watch(current: Ws.WebSocket): void {
    setTimer('silence', SILENCE_MAX_MS, () => {
      log.warn('the engine is silent; connecting anew');
      current.terminate();
    });
  }

  function receive(current: Ws.WebSocket, data: Ws.RawData, isBinary: boolean): void {
    const message = isBinary ? null : parseEngineMessage((data as Buffer).toString('utf8'));
    if (message) return options.onMessage(message);
    log.warn('the engine sent something that is no message');
    current.close(1008, 'invalid message');
  }

  function setTimer(name: string, delayMs: number, action: () => void): void {
    timers.get(name)?.();
    if (!isClosed) timers.set(name, clock.setTimer(delayMs, action));
  }

  /** Packed as long as both ends count alike. What cannot be packed is left out of the batch, which is sent all the same: else it would come up again for ever. */
  function packed({ sequence, samples }: SamplesMessage): SamplesMessage | PackedSamplesMessage {
    if (!encoder) return { type: 'samples', sequence, samples };
    const packable = samples.filter(isPackable);
    if (packable.length < samples.length) log.warn({ sequence, samples: samples.length - packable.length, example: `${samples.find((sample) => !isPackable(sample))?.kind} without a window or of no known kind` }, 'samples of a batch cannot be sent; they are dropped');
    return { type: 'packed', sequence, ...encoder.encode(packable) };
  }

  return {
    send(message) {
      if (!socket || socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > BACKLOG_BYTES_MAX) return false;
      const text = JSON.stringify(message.type === 'samples' ? packed(message) : message);
      if (Buffer.byteLength(text) > FRAME_BYTES_MAX) {
        log.error({ type: message.type, bytes: Buffer.byteLength(text) }, 'a message is larger than a frame may be');
        if (message.type === 'samples') encoder = null; // the engine has not counted along: plain until the next connection
        return false;
      }
      socket.send(text);
      return true;
    },
    close() {
      isClosed = true;
      for (const cancel of timers.values()) cancel();
      if (socket?.readyState === WebSocket.CONNECTING) socket.terminate();
      else socket?.close(1000);
    },
  };
}

/** Null for what is no message. A config in it is not believed by this: its own check is `createVerifier`. */
function parseEngineMessage(text: string): EngineMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null; // not JSON is the answer
  }
  if (typeof value !== 'object' || value === null || !('type' in value)) return null;
  const message = value as Record<string, unknown>;
  if (message['type'] === 'revocations') return value as EngineMessage;
  if (message['type'] === 'renew') return { type: 'renew' };
  if (message['type'] === 'ack') return Number.isSafeInteger(message['sequence']) ? { type: 'ack', sequence: Number(message['sequence']), ...refusedOf(message['refused']) } : null;
  if (message['type'] === 'desired') return typeof message['config'] === 'object' && message['config'] !== null ? (value as EngineMessage) : null;
  if (message['type'] === 'error') return typeof message['code'] === 'string' && typeof message['message'] === 'string' ? (value as EngineMessage) : null;
  return null;
}

/** For a log line: cut to what one holds. */
function refusedOf(value: unknown): { refused?: RefusedSamples } {
  if (typeof value !== 'object' || value === null) return {};
  const { samples, example } = value as Record<string, unknown>;
  return Number.isSafeInteger(samples) && typeof example === 'string' ? { refused: { samples: Number(samples), example: example.slice(0, 200) } } : {};
}
