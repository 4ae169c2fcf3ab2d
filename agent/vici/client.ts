import { type Cancel, type Clock, ForemeshError, type Log, messageOf, Waiting } from '../../src/base/index.ts';
import { textAt, type ViciMessage } from './codec.ts';
import { ViciConnection } from './connection.ts';

const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 2000;
/** A session that lasted this long was a good one: the next attempt starts with the shortest pause again. */
const STEADY_MS = 5000;

export interface ViciClientOptions {
  socketPath: string;
  clock: Clock;
  log: Log;
  /** Events wanted for as long as the client lives. */
  events: readonly string[];
  onEvent: (event: string, message: ViciMessage) => void;
  /** Runs on each new session before anybody else may use it: a daemon that was restarted knows nothing. */
  setUp: (session: ViciSession) => Promise<void>;
  /** The daemon came (back), or went. */
  onUpDown: (up: boolean) => void;
}

/** What one may ask the daemon. */
export interface ViciSession {
  /** @throws ForemeshError VICI_FAILED with the daemon's own words when it says no; VICI_CLOSED, VICI_PROTOCOL */
  request(command: string, message?: ViciMessage): Promise<ViciMessage>;
  /** The events that answer `command`, one by one. */
  stream(command: string, event: string, message?: ViciMessage): AsyncIterable<ViciMessage>;
}

export interface ViciClient extends ViciSession {
  /** Resolves when a session is set up. @throws Waiting VICI_CLOSED while there is no daemon */
  ready(): Promise<void>;
  close(): void;
}

/**
 * A client that stays: it keeps two connections, one for commands and one for events (a slow command must not hold up
 * the news), and makes both anew, with growing pauses, when either ends. A command given while there is no daemon
 * waits for the attempt under way; between attempts it fails with `Waiting` (VICI_CLOSED) that says for how long.
 */
export function createViciClient(options: ViciClientOptions): ViciClient {
  return new Client(options);
}

interface Session extends ViciSession {
  commands: ViciConnection;
  events: ViciConnection;
}

class Client implements ViciClient {
  readonly #options: ViciClientOptions;
  #session: Session | null = null;
  #attempt: Promise<void> | null = null;
  #cancelRetry: Cancel = () => undefined;
  #retryAtMs = 0;
  #backoffMs = BACKOFF_FIRST_MS;
  #closed = false;

  constructor(options: ViciClientOptions) {
    this.#options = options;
    this.#connect();
  }

  async request(command: string, message: ViciMessage = {}): Promise<ViciMessage> {
    return (await this.#current()).request(command, message);
  }

  async *stream(command: string, event: string, message: ViciMessage = {}): AsyncIterable<ViciMessage> {
    yield* (await this.#current()).stream(command, event, message);
  }

  async ready(): Promise<void> {
    await this.#current();
  }

  close(): void {
    this.#closed = true;
    this.#cancelRetry();
    this.#session?.commands.close();
    this.#session?.events.close();
  }

  async #current(): Promise<Session> {
    if (!this.#session && this.#attempt) await this.#attempt;
    if (this.#session) return this.#session;
    const retryAfterMs = Math.max(1, Math.ceil(this.#retryAtMs - this.#options.clock.monotonicMs()));
    throw new Waiting('VICI_CLOSED', retryAfterMs, {
      what: this.#closed ? 'the VICI client is closed' : `the IKE daemon does not answer at ${this.#options.socketPath}`,
      fix: 'nothing, it is tried again; start charon if it stays away',
    });
  }

  #connect(): void {
    this.#attempt = this.#openSession()
      .catch((cause: unknown) => this.#retryLater(cause))
      .finally(() => {
        this.#attempt = null;
      });
  }

  async #openSession(): Promise<void> {
    const { clock, socketPath, events, onEvent, setUp, onUpDown } = this.#options;
    const opened: ViciConnection[] = [];
    try {
      for (let count = 0; count < 2; count++) opened.push(await ViciConnection.open(socketPath, clock));
      const [commandConnection, eventConnection] = opened as [ViciConnection, ViciConnection];
      for (const event of events) await eventConnection.subscribe(event, (message) => onEvent(event, message));
      const session: Session = {
        commands: commandConnection,
        events: eventConnection,
        request: async (command, message) => accepted(command, await commandConnection.request(command, message)),
        stream: (command, event, message) => commandConnection.stream(command, event, message),
      };
      await setUp(session);
      if (this.#closed) throw new ForemeshError('VICI_CLOSED', { what: 'the VICI client is closed', fix: 'make a new one' });
      this.#session = session;
      const sinceMs = clock.monotonicMs();
      void Promise.race(opened.map((connection) => connection.closed)).then((reason) => this.#lose(session, reason, sinceMs));
      onUpDown(true);
    } catch (cause) {
      for (const connection of opened) connection.close();
      throw cause;
    }
  }

  #lose(session: Session, reason: ForemeshError, sinceMs: number): void {
    session.commands.close();
    session.events.close();
    this.#session = null;
    if (this.#closed) return;
    if (this.#options.clock.monotonicMs() - sinceMs >= STEADY_MS) this.#backoffMs = BACKOFF_FIRST_MS;
    this.#options.log.warn({ reason: reason.what }, 'lost the IKE daemon');
    this.#retryLater(reason);
    this.#options.onUpDown(false);
  }

  #retryLater(cause: unknown): void {
    if (this.#closed) return;
    const { clock, log } = this.#options;
    log.debug({ reason: messageOf(cause), retryAfterMs: this.#backoffMs }, 'no session with the IKE daemon');
    this.#retryAtMs = clock.monotonicMs() + this.#backoffMs;
    this.#cancelRetry = clock.setTimer(this.#backoffMs, () => this.#connect());
    this.#backoffMs = Math.min(BACKOFF_MAX_MS, this.#backoffMs * 2);
  }
}

function accepted(command: string, response: ViciMessage): ViciMessage {
  if (textAt(response, 'success') !== 'no') return response;
  const why = (textAt(response, 'errmsg') ?? 'without a reason').slice(0, 300);
  throw new ForemeshError('VICI_FAILED', { what: `the IKE daemon refused ${command}: ${why}`, fix: 'see the daemon\'s log; often a crypto suite or certificate it cannot use' });
}
