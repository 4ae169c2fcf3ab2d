/** Bytes of WebAssembly instructions that leave one value, or none, on the stack. */
export type Code = readonly number[];

/** One exported function. */
export interface WasmFunction {
  name: string;
  parameters: number;
  locals: ValueType[];
  code: Code;
}

const TYPES = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;
type ValueType = keyof typeof TYPES;
const MAGIC_AND_VERSION = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const PAGE_BYTES = 65_536;

/**
 * A WebAssembly module of these functions over one imported memory (`env.memory`), all parameters i32, no results.
 * Its few kernels need no compiler in the build and stay as readable as what they compute.
 * @see https://webassembly.github.io/spec/core/binary/
 */
export function assembleModule(functions: readonly WasmFunction[], memoryPages: number): Uint8Array<ArrayBuffer> {
  const arities = [...new Set(functions.map(({ parameters }) => parameters))];
  return Uint8Array.from([
    ...MAGIC_AND_VERSION,
    ...section(1, arities.map((arity) => [0x60, ...list(Array.from({ length: arity }, () => [TYPES.i32])), 0x00])),
    ...section(2, [[...text('env'), ...text('memory'), 0x02, 0x00, ...unsigned(memoryPages)]]),
    ...section(3, functions.map(({ parameters }) => unsigned(arities.indexOf(parameters)))),
    ...section(7, functions.map(({ name }, index) => [...text(name), 0x00, ...unsigned(index)])),
    ...section(10, functions.map(({ locals, code }) => {
      const body = [...list(locals.map((type) => [0x01, TYPES[type]])), ...code, 0x0b];
      return [...unsigned(body.length), ...body];
    })),
  ]);
}

export function pagesFor(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES);
}

/** A parameter or local variable. */
export class Variable {
  readonly get: Code;
  private readonly index: number;

  constructor(index: number) {
    this.index = index;
    this.get = [0x20, ...unsigned(index)];
  }

  set(value: Code): Code {
    return [...value, 0x21, ...unsigned(this.index)];
  }
}

/**
 * Builds a function: `body` gets its parameters and makers of further variables, and gives the instructions.
 */
export function wasmFunction<P extends string>(
  name: string,
  parameters: readonly P[],
  body: (parameter: Record<P, Code>, make: { i32(): Variable; f32(): Variable; f64(): Variable; v128(): Variable }) => Code[],
): WasmFunction {
  const locals: ValueType[] = [];
  const make = (type: ValueType) => (): Variable => new Variable(parameters.length + locals.push(type) - 1);
  const named = Object.fromEntries(parameters.map((each, index) => [each, new Variable(index).get])) as Record<P, Code>;
  const code = body(named, { i32: make('i32'), f32: make('f32'), f64: make('f64'), v128: make('v128') }).flat();
  return { name, parameters: parameters.length, locals, code };
}

/** for (variable = from; variable < until; variable += step) body; the body runs at least once. */
export function loop(variable: Variable, from: Code, until: Code, step: Code, body: Code[]): Code {
  const again = [...i32.lessThan(variable.get, until), 0x0d, 0x00];
  return [...variable.set(from), 0x03, 0x40, ...body.flat(), ...variable.set(i32.add(variable.get, step)), ...again, 0x0b];
}

/** if (condition) body */
export function when(condition: Code, body: Code[]): Code {
  return [...condition, 0x04, 0x40, ...body.flat(), 0x0b];
}

export const i32 = {
  constant: (value: number): Code => [0x41, ...signed(value)],
  add: (left: Code, right: Code): Code => [...left, ...right, 0x6a],
  subtract: (left: Code, right: Code): Code => [...left, ...right, 0x6b],
  multiply: (left: Code, right: Code): Code => [...left, ...right, 0x6c],
  shiftLeft: (value: Code, bits: number): Code => [...value, ...i32.constant(bits), 0x74],
  shiftRight: (value: Code, bits: number): Code => [...value, ...i32.constant(bits), 0x75],
  lessThan: (left: Code, right: Code): Code => [...left, ...right, 0x48],
  load: (address: Code, offset = 0): Code => [...address, 0x28, 0x02, ...unsigned(offset)],
  store: (address: Code, value: Code): Code => [...address, ...value, 0x36, 0x02, 0x00],
  storeByte: (address: Code, value: Code): Code => [...address, ...value, 0x3a, 0x00, 0x00],
  trailingZeros: (value: Code): Code => [...value, 0x68],
};

/** Compared, an i32 of 0 or 1. */
export const f32 = {
  load: (address: Code, offset = 0): Code => [...address, 0x2a, 0x02, ...unsigned(offset)],
  equal: (left: Code, right: Code): Code => [...left, ...right, 0x5b],
  less: (left: Code, right: Code): Code => [...left, ...right, 0x5d],
};

/** Numbers one at a time: a float32 in memory is a float64 in the arithmetic, as in JavaScript. */
export const f64 = {
  load: (address: Code, offset = 0): Code => [...address, 0x2b, 0x03, ...unsigned(offset)],
  loadFloat: (address: Code, offset = 0): Code => [...address, 0x2a, 0x02, ...unsigned(offset), 0xbb],
  storeFloat: (address: Code, value: Code, offset = 0): Code => [...address, ...value, 0xb6, 0x38, 0x02, ...unsigned(offset)],
  constant: (value: number): Code => [0x44, ...new Uint8Array(Float64Array.of(value).buffer)],
  add: (left: Code, right: Code): Code => [...left, ...right, 0xa0],
  subtract: (left: Code, right: Code): Code => [...left, ...right, 0xa1],
  multiply: (left: Code, right: Code): Code => [...left, ...right, 0xa2],
  absolute: (value: Code): Code => [...value, 0x99],
  /** As a float32 keeps it. */
  rounded: (value: Code): Code => [...value, 0xb6, 0xbb],
  equal: (left: Code, right: Code): Code => [...left, ...right, 0x61],
};

/** Two float64 at a time; comparisons give all ones or zeros. */
export const f64x2 = {
  splat: (value: Code): Code => [...value, 0xfd, 0x14],
  constant: (value: number): Code => {
    const bytes = [...new Uint8Array(Float64Array.of(value, value).buffer)];
    return [0xfd, 0x0c, ...bytes];
  },
  /** The float64 at the address, twice. */
  loadSplat: (address: Code, offset = 0): Code => [...address, 0xfd, 0x0a, 0x03, ...unsigned(offset)],
  /** The float64 at each address. */
  loadTwo: (first: Code, second: Code, offset = 0): Code => [...second, ...first, 0xfd, 0x5d, 0x03, ...unsigned(offset), 0xfd, 0x57, 0x03, ...unsigned(offset), 0x01],
  /** Two neighbouring float32 in memory are two float64 in the arithmetic, as in JavaScript. */
  loadFloats: (address: Code, offset = 0): Code => f64x2.promoted(f32x4.loadTwo(address, offset)),
  storeFloats: (address: Code, value: Code, offset = 0): Code => [...address, ...f64x2.demoted(value), 0xfd, 0x5b, 0x03, ...unsigned(offset), 0x00],
  /** Of the first two of four float32. */
  promoted: (value: Code): Code => [...value, 0xfd, 0x5f],
  demoted: (value: Code): Code => [...value, 0xfd, 0x5e],
  /** As two i32, toward 0; no number is 0. */
  truncated: (value: Code): Code => [...value, 0xfd, 0xfc, 0x01],
  equal: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0x47],
  greater: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0x4a],
  absolute: (value: Code): Code => [...value, 0xfd, 0xec, 0x01],
  divide: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0xf3, 0x01],
  /** As of four float32. */
  leastOf: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0xf6, 0x01],
  greaterOf: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0xf7, 0x01],
  replaceSecond: (both: Code, second: Code): Code => [...both, ...second, 0xfd, 0x22, 0x01],
  add: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0xf0, 0x01],
  subtract: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0xf1, 0x01],
  multiply: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0xf2, 0x01],
};

/** Four float32 at a time. Addresses are bytes. */
export const f32x4 = {
  /** The float at the address, four times. */
  loadSplat: (address: Code, offset = 0): Code => [...address, 0xfd, 0x09, 0x02, ...unsigned(offset)],
  constant: (value: number): Code => {
    const bytes = [...new Uint8Array(Float32Array.of(value, value, value, value).buffer)];
    return [0xfd, 0x0c, ...bytes];
  },
  /** The two floats at the address, then zeros. */
  loadTwo: (address: Code, offset = 0): Code => [...address, 0xfd, 0x5d, 0x03, ...unsigned(offset)],
  unequal: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0x42],
  absolute: (value: Code): Code => [...value, 0xfd, 0xe0, 0x01],
  add: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0xe4, 0x01],
  subtract: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0xe5, 0x01],
  multiply: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0xe6, 0x01],
  divide: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0xe7, 0x01],
  least: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0xe8, 0x01],
  most: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0xe9, 0x01],
  /** The greater; the left one where either is no number. In one instruction, where `most` takes several. */
  greaterOf: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0xeb, 0x01],
};

/** Sixteen bytes at a time; comparisons give all ones or zeros. */
export const u8x16 = {
  loadSplat: (address: Code, offset = 0): Code => [...address, 0xfd, 0x07, 0x00, ...unsigned(offset)],
  greater: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0x28],
  /** The bytes of both in this order; those of the second are 16 … 31. */
  shuffle: (left: Code, right: Code, order: readonly number[]): Code => [...left, ...right, 0xfd, 0x0d, ...order],
};

/** All 128 bits, and bit by bit. */
export const v128 = {
  load: (address: Code, offset = 0): Code => [...address, 0xfd, 0x00, 0x02, ...unsigned(offset)],
  store: (address: Code, value: Code, offset = 0): Code => [...address, ...value, 0xfd, 0x0b, 0x02, ...unsigned(offset)],
  ones: [0xfd, 0x0c, ...Array.from({ length: 16 }, () => 0xff)] as Code,
  and: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0x4e],
  or: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0x50],
  /** An i32: 1 when any bit is. */
  anyTrue: (value: Code): Code => [...value, 0xfd, 0x53],
  /** Bit by bit: yes where the mask is 1, no where it is 0. */
  select: (mask: Code, yes: Code, no: Code): Code => [...yes, ...no, ...mask, 0xfd, 0x52],
  /** left without the bits of right. */
  without: (left: Code, right: Code): Code => [...left, ...right, 0xfd, 0x4f],
  /** One of the four i32 in it. */
  lane: (value: Code, lane: number): Code => [...value, 0xfd, 0x1b, lane],
};

function section(id: number, items: readonly Code[]): Code {
  const body = list(items);
  return [id, ...unsigned(body.length), ...body];
}

function list(items: readonly Code[]): Code {
  return [...unsigned(items.length), ...items.flat()];
}

function text(value: string): Code {
  return list([...new TextEncoder().encode(value)].map((byte) => [byte]));
}

/** LEB128. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(Math.floor(value / 0x80))];
}

function signed(value: number): Code {
  const byte = value & 0x7f;
  const rest = value >> 7;
  const isDone = (rest === 0 && (byte & 0x40) === 0) || (rest === -1 && (byte & 0x40) !== 0);
  return isDone ? [byte] : [byte | 0x80, ...signed(rest)];
}
