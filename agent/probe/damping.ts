/** A fall counts half after this time, ms. */
const HALF_LIFE_MS = 1_800_000;

/** How often a path has fallen lately; what outlives a session of it. */
export interface FallMemory {
  falls: number;
  atMs: number;
}

export const NO_FALLS: FallMemory = { falls: 0, atMs: 0 };

/**
 * Exponential damping of returns (the idea of RFC 2439): a path that fell once returns after `holdDownMs` of good figures,
 * and each further fall doubles that, up to `holdDownMaxMs`; falls are forgotten with a half-life of half an hour.
 * Leaving a bad path is never delayed. With the defaults (60 s, 10 min) a path, whatever it does, changes at most twice in
 * any minute and at most 24 times in an hour: the flap budget of docs/failover.md, which a test holds against an adversary.
 */
export interface Damping {
  fell(nowMs: number): void;
  /** Good figures that are needed before traffic returns, ms. */
  holdMs(nowMs: number): number;
  memory(): FallMemory;
  retune(holdDownMs: number, holdDownMaxMs: number): void;
}

/** One fall more. */
export function fallAgain(memory: FallMemory, nowMs: number): FallMemory {
  return { falls: fallsAt(memory, nowMs) + 1, atMs: nowMs };
}

/** How long who fell so often must do well before it returns, ms. */
export function holdMsAfter(memory: FallMemory, nowMs: number, { holdDownMs, holdDownMaxMs }: { holdDownMs: number; holdDownMaxMs: number }): number {
  const exponent = Math.max(0, Math.round(fallsAt(memory, nowMs)) - 1);
  return Math.max(holdDownMs, Math.min(holdDownMaxMs, holdDownMs * 2 ** Math.min(exponent, 30)));
}

function fallsAt({ falls, atMs }: FallMemory, nowMs: number): number {
  return falls * 0.5 ** (Math.max(0, nowMs - atMs) / HALF_LIFE_MS);
}

export function createDamping(firstHoldDownMs: number, firstHoldDownMaxMs: number, from: FallMemory | null): Damping {
  let [holdDownMs, holdDownMaxMs] = [firstHoldDownMs, firstHoldDownMaxMs];
  let memory: FallMemory = from ?? NO_FALLS;
  return {
    fell(nowMs) {
      memory = fallAgain(memory, nowMs);
    },
    holdMs: (nowMs) => holdMsAfter(memory, nowMs, { holdDownMs, holdDownMaxMs }),
    memory: () => memory,
    retune(nextMs, nextMaxMs) {
      [holdDownMs, holdDownMaxMs] = [nextMs, nextMaxMs];
    },
  };
}
