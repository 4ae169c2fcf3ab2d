import type { Cancel, Clock } from '../../src/base/index.ts';
import type { TunnelId } from '../../src/model/index.ts';

/** More exchanges at once make IKE wait for its retransmission timers instead of getting faster (measured: 300 at once need 27 s, 4 at a time 3.9 s). */
export const WINDOW = 4;
/** An exchange that takes longer gives its place to the next; the daemon goes on with it all the same. */
export const PLACE_LIMIT_MS = 2000;

/**
 * Which IKE exchanges run and which wait: at most `WINDOW` at a time, each tunnel at most once.
 * `start` is called when a tunnel's turn comes; a failure of it gives the place to the next.
 */
export class Initiations {
  readonly #clock: Clock;
  readonly #start: (tunnel: TunnelId) => Promise<void>;
  readonly #running = new Map<TunnelId, Cancel>();
  readonly #waiting = new Set<TunnelId>();

  constructor(clock: Clock, start: (tunnel: TunnelId) => Promise<void>) {
    this.#clock = clock;
    this.#start = start;
  }

  /** More wait for their turn than may run at a time. */
  get isBusy(): boolean {
    return this.#waiting.size > WINDOW;
  }

  /** Resolves when the exchange has begun or has its place in the queue; does nothing for a tunnel that has one of both. */
  async add(tunnel: TunnelId): Promise<void> {
    if (this.#running.has(tunnel) || this.#waiting.has(tunnel)) return;
    if (this.#running.size >= WINDOW) {
      this.#waiting.add(tunnel);
      return;
    }
    await this.#run(tunnel);
  }

  /** The exchange of this tunnel is over, or no longer wanted. */
  finish(tunnel: TunnelId): void {
    this.#waiting.delete(tunnel);
    const cancel = this.#running.get(tunnel);
    if (!cancel) return;
    cancel();
    this.#running.delete(tunnel);
    this.#next();
  }

  /** Forgets all of them: the daemon is gone. */
  clear(): void {
    this.#waiting.clear();
    for (const cancel of this.#running.values()) cancel();
    this.#running.clear();
  }

  async #run(tunnel: TunnelId): Promise<void> {
    this.#running.set(tunnel, this.#clock.setTimer(PLACE_LIMIT_MS, () => this.finish(tunnel)));
    try {
      await this.#start(tunnel);
    } catch (cause) {
      this.finish(tunnel);
      throw cause;
    }
  }

  #next(): void {
    const [tunnel] = this.#waiting;
    if (tunnel === undefined || this.#running.size >= WINDOW) return;
    this.#waiting.delete(tunnel);
    this.#run(tunnel).catch(() => undefined); // `start` has logged it; the caller sees the tunnel missing in listSas and asks again
  }
}
