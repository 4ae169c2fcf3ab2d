/** Stops a pending timer; calling it twice, or after the timer fired, does nothing. */
export type Cancel = () => void;

/**
 * The only source of time. Real code gets `systemClock`, tests and the simulated network a `VirtualClock`,
 * so nothing outside an adapter calls `Date.now` or `setTimeout`.
 */
export interface Clock {
  /** Wall time, epoch ms. */
  now(): number;
  /** Never steps back; for timeouts and intervals, ms. */
  monotonicMs(): number;
  /** Runs `action` once after `delayMs` (≥ 0). */
  setTimer(delayMs: number, action: () => void): Cancel;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, action) {
    const handle = setTimeout(action, delayMs);
    return () => clearTimeout(handle);
  },
};

/** Resolves after `delayMs` of this clock's time. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(delayMs, resolve));
}

interface PendingTimer {
  dueMs: number;
  sequence: number;
  action: () => void;
  cancelled: boolean;
}

/**
 * A clock that stands still until told to move. Timers fire in order of due time, then of creation, and after each
 * one every promise it settled has run, so a run is the same every time.
 */
export class VirtualClock implements Clock {
  #nowMs: number;
  readonly #startMs: number;
  #sequence = 0;
  readonly #heap: PendingTimer[] = [];

  constructor(startMs = Date.UTC(2026, 0, 5)) {
    this.#nowMs = startMs;
    this.#startMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs - this.#startMs;
  }

  setTimer(delayMs: number, action: () => void): Cancel {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), sequence: this.#sequence++, action, cancelled: false };
    pushTimer(this.#heap, timer);
    return () => {
      timer.cancelled = true;
    };
  }

  /** Moves time forward by `byMs`, firing what falls due. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      await settlePromises();
      const next = this.#heap[0];
      if (!next || next.dueMs > untilMs) break;
      popTimer(this.#heap);
      if (next.cancelled) continue;
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.action();
    }
    this.#nowMs = untilMs;
  }
}

/** Lets every already settled promise chain run to its end. Cheap: one turn of the microtask queue at the macrotask border. */
function settlePromises(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isBefore(left: PendingTimer, right: PendingTimer): boolean {
  return left.dueMs < right.dueMs || (left.dueMs === right.dueMs && left.sequence < right.sequence);
}

function pushTimer(heap: PendingTimer[], timer: PendingTimer): void {
  heap.push(timer);
  let index = heap.length - 1;
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (!isBefore(heap[index]!, heap[parent]!)) break;
    [heap[index], heap[parent]] = [heap[parent]!, heap[index]!];
    index = parent;
  }
}

function popTimer(heap: PendingTimer[]): PendingTimer | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (heap.length === 0 || !last) return first;
  heap[0] = last;
  let index = 0;
  for (;;) {
    const left = 2 * index + 1;
    const right = left + 1;
    let least = index;
    if (left < heap.length && isBefore(heap[left]!, heap[least]!)) least = left;
    if (right < heap.length && isBefore(heap[right]!, heap[least]!)) least = right;
    if (least === index) return first;
    [heap[index], heap[least]] = [heap[least]!, heap[index]!];
    index = least;
  }
}
