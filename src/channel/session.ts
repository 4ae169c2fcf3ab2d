import type { RawData, WebSocket } from 'ws';
import { ForemeshError, messageOf, type Cancel, type Clock, type Log } from '../base/index.ts';
import type { EngineMessage } from '../model/index.ts';
import type { AgentHub } from './hub.ts';
import { createFrameReader } from './frame-reader.ts';
import type { Peer } from './peer.ts';
import { createTokenBucket } from './token-bucket.ts';

export const HEARTBEAT_MS = 10_000;
const MISSED_MAX = 3;
const FRAMES_BURST = 400;
const FRAMES_PER_SECOND = 50;
const BYTES_BURST = 16_777_216;
const BYTES_PER_SECOND = 2_097_152;
const QUEUE_MAX = 32;
const TIMER_MAX_MS = 2_000_000_000;
/** Sent but not read by the agent: beyond this it is as good as gone. */
const BACKLOG_BYTES_MAX = 16_777_216;

export interface ChannelCounters {
  accepted: number;
  refused: number;
  invalidMessages: number;
  throttled: number;
  deadPeers: number;
}

export interface SessionDeps {
  hub: AgentHub;
  clock: Clock;
  log: Log;
  counters: ChannelCounters;
}

/**
 * Serves one agent's WebSocket until it closes: checks each frame, hands messages to the hub in order, and closes a peer that
 * sends rubbish, answers no three pings, or whose certificate ends. Who sends faster than its share is read more slowly.
 */
export function serveSession(socket: WebSocket, peer: Peer, deps: SessionDeps): void {
  const { hub, clock, log, counters } = deps;
  const { node } = peer;
  const frames = createTokenBucket(clock, FRAMES_BURST, FRAMES_PER_SECOND);
  const bytes = createTokenBucket(clock, BYTES_BURST, BYTES_PER_SECOND);
  const reader = createFrameReader();
  const timers = new Map<string, Cancel>();
  let missed = 0;
  let queued = 0;
  let isOpen = true;

  const connection = { node, send, close: () => socket.close(4000, 'replaced by a newer connection') };
  const receive = hub.attach(connection);
  socket.on('message', (data, isBinary) => {
    onFrame(data, isBinary);
  });
  socket.on('pong', () => {
    missed = 0;
  });
  socket.on('error', (cause) => log.debug({ node, error: messageOf(cause) }, 'agent connection failed'));
  socket.on('close', () => {
    isOpen = false;
    for (const cancel of timers.values()) cancel();
    hub.detach(connection);
  });
  setTimer('heartbeat', HEARTBEAT_MS, beat);
  setTimer('certificate', Math.min(TIMER_MAX_MS, peer.validUntil - clock.now()), () => socket.close(4001, 'certificate has ended'));

  function onFrame(data: RawData, isBinary: boolean): void {
    if (!isOpen) return;
    const text = (data as Buffer).toString('utf8');
    const parsed = isBinary ? { ok: false as const, what: 'the frame is binary' } : reader.read(text);
    if (!parsed.ok) return refuse(parsed.what);
    missed = 0;
    throttle(Math.max(frames.take(1), bytes.take(text.length)));
    if (++queued >= QUEUE_MAX) socket.pause();
    receive(parsed.message, parsed.refused).then(onDone, (cause: unknown) => {
      onDone();
      if (cause instanceof ForemeshError && cause.code === 'CHANNEL_MESSAGE_INVALID') return refuse(cause.what);
      log.error({ node, error: messageOf(cause) }, 'a message could not be handled; the agent will send it again');
      socket.close(1011, 'try again');
    });
  }

  function onDone(): void {
    if (--queued < QUEUE_MAX / 2 && !timers.has('throttle')) socket.resume();
  }

  function throttle(waitMs: number): void {
    if (waitMs <= 0 || timers.has('throttle')) return;
    counters.throttled++;
    socket.pause();
    send({ type: 'error', code: 'CHANNEL_BUSY', message: `sending faster than ${FRAMES_PER_SECOND} frames/s; read again in ${waitMs} ms` });
    log.warn({ node, waitMs }, 'agent sends faster than its share');
    setTimer('throttle', Math.min(waitMs, HEARTBEAT_MS), () => {
      timers.delete('throttle');
      if (queued < QUEUE_MAX) socket.resume();
    });
  }

  function refuse(what: string): void {
    counters.invalidMessages++;
    log.warn({ node, what }, 'agent sent an invalid message');
    send({ type: 'error', code: 'CHANNEL_MESSAGE_INVALID', message: what });
    isOpen = false;
    socket.close(1008, 'invalid message');
  }

  function beat(): void {
    if (++missed > MISSED_MAX) {
      counters.deadPeers++;
      log.warn({ node }, 'agent answers no more');
      socket.terminate();
      return;
    }
    if (socket.readyState === socket.OPEN) socket.ping();
    setTimer('heartbeat', HEARTBEAT_MS, beat);
  }

  function send(message: EngineMessage): void {
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > BACKLOG_BYTES_MAX) socket.terminate();
    else socket.send(JSON.stringify(message));
  }

  function setTimer(name: string, delayMs: number, action: () => void): void {
    timers.get(name)?.();
    timers.set(name, clock.setTimer(delayMs, action));
  }
}
