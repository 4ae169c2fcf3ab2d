import { connect, type Socket } from 'node:net';
import { type Cancel, type Clock, ForemeshError, messageOf } from '../../src/base/index.ts';
import { type ViciMessage } from './codec.ts';
import { decodePacket, encodePacket, type Packet, PacketReader } from './packets.ts';

/** More commands than this waiting for one connection means that somebody forgot to wait. */
const WAITING_MAX = 4096;
/** A stream's events that nobody has taken yet; above the first the socket is not read, below the second it is again. */
const HELD_EVENTS_MAX = 64;
const HELD_EVENTS_LOW = 16;
/** The daemon answers commands at once; so long a silence in the middle of one means that it hangs. */
export const ANSWER_LIMIT_MS = 10_000;

/**
 * One VICI connection. Commands go one after the other, each when the one before is answered, so neither side ever
 * holds more than one packet for the other. Whatever goes wrong (closed, malformed bytes, silence) closes the
 * connection, and everything that waits fails with that reason: VICI_CLOSED or VICI_PROTOCOL.
 */
export class ViciConnection {
  /** Resolves with the reason when the connection is over. */
  readonly closed: Promise<ForemeshError>;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #reader = new PacketReader();
  readonly #listeners = new Map<string, (message: ViciMessage) => void>();
  #reply: { resolve: (packet: Packet) => void; reject: (reason: ForemeshError) => void } | null = null;
  #cancelLimit: Cancel = () => undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #end: ForemeshError | null = null;
  #settleClosed: (reason: ForemeshError) => void = () => undefined;

  /** @throws ForemeshError VICI_CLOSED when nobody listens at `socketPath` */
  static open(socketPath: string, clock: Clock): Promise<ViciConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(socketPath);
      const refuse = (cause: Error): void => {
        socket.destroy();
        reject(closedError(`cannot connect to ${socketPath}: ${cause.message}`, cause));
      };
      socket.once('error', refuse);
      socket.once('connect', () => {
        socket.off('error', refuse);
        resolve(new ViciConnection(socket, clock));
      });
    });
  }

  private constructor(socket: Socket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    this.closed = new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (cause) => this.#fail(closedError(cause.message, cause)));
    socket.on('close', () => this.#fail(closedError('the daemon closed the connection')));
  }

  /** Runs a command and gives its response. @throws ForemeshError VICI_FAILED when the daemon does not know it; VICI_CLOSED, VICI_PROTOCOL */
  request(command: string, message: ViciMessage = {}): Promise<ViciMessage> {
    return this.#inTurn(async () => responseOf(command, await this.#exchange({ type: 'request', name: command, message })));
  }

  /** Calls `listener` for each `event` from now on. An event may have one listener only. */
  async subscribe(event: string, listener: (message: ViciMessage) => void): Promise<void> {
    await this.#inTurn(() => this.#register(event, listener));
  }

  /**
   * Runs a command that answers by events and gives these one by one. While the caller is slow, the socket is not
   * read. A caller that stops early costs the reading of the rest. The connection is busy until then.
   */
  async *stream(command: string, event: string, message: ViciMessage = {}): AsyncGenerator<ViciMessage> {
    const release = await this.#takeTurn();
    try {
      const held: ViciMessage[] = [];
      let wake: () => void = () => undefined;
      let discard = false;
      await this.#register(event, (item) => {
        if (discard) return;
        held.push(item);
        if (held.length >= HELD_EVENTS_MAX) this.#pause();
        wake();
      });
      const state = { done: false, failure: null as unknown };
      const finished = this.#exchange({ type: 'request', name: command, message })
        .then((packet) => void responseOf(command, packet))
        .catch((cause: unknown) => {
          state.failure = cause; // rethrown below, after the events that came before it
        })
        .finally(() => {
          state.done = true;
          wake();
        });
      try {
        for (;;) {
          const item = held.shift();
          if (item !== undefined) {
            if (held.length <= HELD_EVENTS_LOW) this.#resume();
            yield item;
          } else if (state.done) {
            break;
          } else {
            await new Promise<void>((resolve) => {
              wake = resolve;
              if (held.length > 0 || state.done) resolve();
            });
          }
        }
      } finally {
        discard = true;
        this.#resume();
        await finished;
        if (this.#end === null) await this.#unregister(event);
      }
      if (state.failure !== null) throw state.failure;
    } finally {
      release();
    }
  }

  close(): void {
    this.#fail(closedError('closed by us'));
  }

  async #register(event: string, listener: (message: ViciMessage) => void): Promise<void> {
    this.#listeners.set(event, listener);
    const answer = await this.#exchange({ type: 'register', name: event, message: {} });
    if (answer.type !== 'confirm') {
      this.#listeners.delete(event);
      throw refusal(`does not know the event ${event}`);
    }
  }

  async #unregister(event: string): Promise<void> {
    await this.#exchange({ type: 'unregister', name: event, message: {} });
    this.#listeners.delete(event);
  }

  /** Sends one packet and waits for the one that answers it. Only inside a turn. */
  #exchange(packet: Packet): Promise<Packet> {
    return new Promise((resolve, reject) => {
      if (this.#end) return reject(this.#end);
      const bytes = encodePacket(packet); // throws for what we may not send, before anything is waited for
      this.#reply = { resolve, reject };
      this.#limitSilence();
      this.#socket.write(bytes);
    });
  }

  #receive(chunk: Buffer): void {
    if (this.#end) return;
    try {
      for (const body of this.#reader.push(chunk)) this.#dispatch(decodePacket(body));
    } catch (cause) {
      this.#fail(cause instanceof ForemeshError ? cause : closedError(messageOf(cause), cause));
    }
  }

  #dispatch(packet: Packet): void {
    if (packet.type === 'event') {
      if (this.#reply) this.#limitSilence();
      this.#listeners.get(packet.name ?? '')?.(packet.message);
      return;
    }
    const reply = this.#reply;
    if (!reply || packet.name !== null) {
      throw new ForemeshError('VICI_PROTOCOL', { what: `a ${packet.type} came that answers nothing`, fix: 'check that the socket is strongSwan\'s VICI socket' });
    }
    this.#reply = null;
    this.#cancelLimit();
    reply.resolve(packet);
  }

  #pause(): void {
    this.#cancelLimit();
    this.#socket.pause();
  }

  #resume(): void {
    if (!this.#socket.isPaused()) return;
    if (this.#reply) this.#limitSilence();
    this.#socket.resume();
  }

  #limitSilence(): void {
    this.#cancelLimit();
    this.#cancelLimit = this.#clock.setTimer(ANSWER_LIMIT_MS, () => this.#fail(closedError(`no answer for ${ANSWER_LIMIT_MS / 1000} s`)));
  }

  #fail(reason: ForemeshError): void {
    if (this.#end) return;
    this.#end = reason;
    this.#cancelLimit();
    this.#socket.destroy();
    this.#reply?.reject(reason);
    this.#reply = null;
    this.#settleClosed(reason);
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const release = await this.#takeTurn();
    try {
      return await work();
    } finally {
      release();
    }
  }

  async #takeTurn(): Promise<() => void> {
    if (this.#end) throw this.#end;
    if (this.#waiting >= WAITING_MAX) throw refusal(`has ${WAITING_MAX} commands waiting already`);
    const before = this.#turn;
    let release: () => void = () => undefined;
    this.#turn = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#waiting++;
    await before;
    this.#waiting--;
    return release;
  }
}

function responseOf(command: string, packet: Packet): ViciMessage {
  if (packet.type === 'response') return packet.message;
  throw refusal(`does not know the command ${command}`);
}

function refusal(why: string): ForemeshError {
  return new ForemeshError('VICI_FAILED', { what: `the IKE daemon ${why}`, fix: 'check the daemon\'s version (5.9 or newer) and its log' });
}

function closedError(why: string, cause?: unknown): ForemeshError {
  return new ForemeshError('VICI_CLOSED', { what: `VICI: ${why}`, fix: 'nothing, it is tried again; start charon if it stays away', cause });
}
