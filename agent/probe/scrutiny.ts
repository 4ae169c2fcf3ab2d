/**
 * A miss is looked into with additional probes for so long, also when the next one is answered, and on while evidence of a
 * brown-out grows: some ten probes a second say too little about 20 % loss. Then there is a rest, ms.
 */
const LOOK_MS = 300;
const LOOK_MAX_MS = 2_000;
const REST_MS = 2_000;

/** Times of closer looks at a path. */
export interface Scrutiny {
  miss(nowMs: number, isSuspicious: boolean): void;
  isOn(nowMs: number): boolean;
}

export function createScrutiny(): Scrutiny {
  let beganMs = Number.NEGATIVE_INFINITY;
  let untilMs = Number.NEGATIVE_INFINITY;
  return {
    miss(nowMs, isSuspicious) {
      if (nowMs >= untilMs && nowMs - untilMs < REST_MS) return;
      if (nowMs >= untilMs) [beganMs, untilMs] = [nowMs, nowMs + LOOK_MS];
      else if (isSuspicious) untilMs = Math.min(nowMs + LOOK_MS, beganMs + LOOK_MAX_MS);
    },
    isOn: (nowMs) => nowMs < untilMs,
  };
}
