/**
 * A reproducible stream of numbers. Take one stream a purpose (`rng.fork('probe-jitter')`), so that one more draw
 * for one purpose moves no other.
 */
export interface Rng {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform integer in [0, bound). */
  integer(bound: number): number;
  /** Standard normal (Box–Muller). */
  gaussian(): number;
  /** An independent stream, the same for the same seed and purpose however much was drawn before. */
  fork(purpose: string): Rng;
}

/** Builds the stream of `seed` (sfc32, seeded by a 128-bit string hash; passes PractRand). */
export function createRng(seed: string | number): Rng {
  const text = String(seed);
  const draw = sfc32(...hash128(text));
  return {
    next: draw,
    integer: (bound) => Math.floor(draw() * bound),
    gaussian() {
      const radius = Math.sqrt(-2 * Math.log(1 - draw()));
      return radius * Math.cos(2 * Math.PI * draw());
    },
    fork: (purpose) => createRng(`${text}/${purpose}`),
  };
}

/** 32-bit FNV-1a with a final avalanche; stable across machines and versions, not for secrets. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function hash128(text: string): [number, number, number, number] {
  return [hash32(`${text}#0`), hash32(`${text}#1`), hash32(`${text}#2`), hash32(`${text}#3`)];
}

function sfc32(a: number, b: number, c: number, d: number): () => number {
  const draw = (): number => {
    const sum = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return (sum >>> 0) / 4294967296;
  };
  for (let warmUp = 0; warmUp < 12; warmUp++) draw();
  return draw;
}
