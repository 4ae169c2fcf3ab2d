import type { Cancel, Clock } from '../../base/index.ts';

/** Runs actions at their time, in order of time, then of arrival, with one timer for all. */
export interface Schedule {
  at(dueMs: number, action: () => void): void;
}

interface Entry {
  dueMs: number;
  sequence: number;
  action: () => void;
}

/** Timers fire up to a millisecond late; letting go this much early puts the mean error near 0. */
const EARLY_MS = 0.4;

/** `dueMs` is in the clock's monotonic time. */
export function createSchedule(clock: Clock): Schedule {
  const heap: Entry[] = [];
  let sequence = 0;
  let armedMs = Infinity;
  let cancel: Cancel | null = null;

  const fire = (): void => {
    armedMs = Infinity;
    const untilMs = clock.monotonicMs() + EARLY_MS;
    while (heap.length > 0 && heap[0]!.dueMs <= untilMs) pop(heap).action();
    arm();
  };
  const arm = (): void => {
    const next = heap[0];
    if (!next || next.dueMs >= armedMs) return;
    cancel?.();
    armedMs = next.dueMs;
    const waitMs = next.dueMs - clock.monotonicMs();
    cancel = clock.setTimer(waitMs <= EARLY_MS ? 0 : Math.max(1, Math.floor(waitMs)), fire);
  };
  return {
    at(dueMs, action) {
      push(heap, { dueMs, sequence: sequence++, action });
      arm();
    },
  };
}

function isBefore(left: Entry, right: Entry): boolean {
  return left.dueMs < right.dueMs || (left.dueMs === right.dueMs && left.sequence < right.sequence);
}

function push(heap: Entry[], entry: Entry): void {
  let index = heap.push(entry) - 1;
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (!isBefore(entry, heap[parent]!)) break;
    heap[index] = heap[parent]!;
    index = parent;
  }
  heap[index] = entry;
}

function pop(heap: Entry[]): Entry {
  const first = heap[0]!;
  const last = heap.pop()!;
  if (heap.length === 0) return first;
  let index = 0;
  for (let child = 1; child < heap.length; child = 2 * index + 1) {
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, last)) break;
    heap[index] = heap[child]!;
    index = child;
  }
  heap[index] = last;
  return first;
}
