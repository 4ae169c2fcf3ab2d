import { i32, loop, u8x16, v128, wasmFunction, type Code, type WasmFunction } from '../wasm/assembler.ts';

/** Bytes of a slot of two pairs beside each other. */
export const SLOT_BYTES = 8;
/** Slots that `besides` takes at a time. */
const SLOTS_TOGETHER = 4;

export interface BesidesKernel {
  memory: WebAssembly.Memory;
  besides: (first: number, until: number, second: number, to: number) => void;
}

/**
 * The known z of two pairs beside each other in a kernel's memory, two float32 a slot, unknown before the first slot: what goes
 * from slot to slot then does so for both at once.
 */
export class TwoPairs {
  /** Address of the first slot. */
  readonly at: number;
  /** The first known slot of each, −1 where there is none. */
  readonly firstKnown: [number, number] = [-1, -1];
  readonly hasGaps: [boolean, boolean] = [false, false];
  readonly series: readonly [Float32Array, Float32Array];
  private readonly kernel: BesidesKernel;
  private readonly place: TwoPairsPlace;

  constructor(kernel: BesidesKernel, place: TwoPairsPlace) {
    const { buffer } = kernel.memory;
    [this.kernel, this.place, this.at] = [kernel, place, place.known];
    this.series = [new Float32Array(buffer, place.series[0], place.length), new Float32Array(buffer, place.series[1], place.length)];
    new Float32Array(buffer, place.unknown, (place.known - place.unknown) / 4).fill(Number.NaN);
  }

  /** @param levels  z of the pair, without gaps */
  load(lane: 0 | 1, values: Float32Array, levels: Float32Array, hasGaps: boolean): void {
    const series = this.series[lane];
    this.hasGaps[lane] = hasGaps;
    this.firstKnown[lane] = 0;
    if (!hasGaps) {
      series.set(levels);
      return;
    }
    let first = -1;
    for (let slot = 0; slot < series.length; slot++) {
      if (Number.isNaN(values[slot]!)) {
        series[slot] = Number.NaN;
      } else {
        series[slot] = levels[slot]!;
        if (first < 0) first = slot;
      }
    }
    this.firstKnown[lane] = first;
  }

  /** After both were loaded. */
  putBeside(): void {
    const { series, known, length } = this.place;
    this.kernel.besides(series[0], series[0] + 4 * length, series[1], known);
  }
}

/** Addresses, all at multiples of 16: each pair alone, unknown slots, the known ones of both, the end. */
export interface TwoPairsPlace {
  length: number;
  series: [number, number];
  unknown: number;
  known: number;
  end: number;
}

/** @param before  slots that are unknown before the first */
export function placeTwoPairs(from: number, length: number, before: number): TwoPairsPlace {
  const room = 4 * roundedUp(length, SLOTS_TOGETHER);
  const unknown = from + 2 * room;
  const known = unknown + SLOT_BYTES * roundedUp(before, 2);
  return { length, series: [from, from + room], unknown, known, end: known + 2 * room };
}

export function roundedUp(count: number, multiple: number): number {
  return Math.ceil(count / multiple) * multiple;
}

/** Floats of two vectors in turn: of their lower or of their upper halves. */
function inTurn(half: 0 | 1): number[] {
  return [0, 1].flatMap((place) => [0, 16].flatMap((which) => [0, 1, 2, 3].map((byte) => which + 8 * half + 4 * place + byte)));
}

/** Puts two series of float32 beside each other; all are addresses, `until` is the end of the first, up to three more floats are copied. */
export const besidesFunction = (): WasmFunction => wasmFunction('besides', ['first', 'until', 'second', 'to'], (p, make) => {
  const [from, other, target, left, right] = [make.i32(), make.i32(), make.i32(), make.v128(), make.v128()];
  const step = i32.constant(4 * SLOTS_TOGETHER);
  const body: Code[] = [
    left.set(v128.load(from.get)),
    right.set(v128.load(other.get)),
    v128.store(target.get, u8x16.shuffle(left.get, right.get, inTurn(0))),
    v128.store(target.get, u8x16.shuffle(left.get, right.get, inTurn(1)), 16),
    other.set(i32.add(other.get, step)),
    target.set(i32.add(target.get, i32.constant(SLOT_BYTES * SLOTS_TOGETHER))),
  ];
  return [other.set(p.second), target.set(p.to), loop(from, p.first, p.until, step, body)];
});
