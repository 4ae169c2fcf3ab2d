/** Just enough of ONNX to run what we export, written from its specification and not from our exporter. */
interface Field {
  field: number;
  value: number;
  bytes: Uint8Array;
}

interface Array3 {
  size: number[];
  values: ArrayLike<number>;
}

export interface OnnxModel {
  opset: number;
  inputs: string[];
  outputs: string[];
  run(feeds: Record<string, Array3>): Record<string, Array3>;
}

export function readOnnx(bytes: Uint8Array): OnnxModel {
  const model = fieldsOf(bytes);
  const graph = fieldsOf(one(model, 7).bytes);
  const weights = Object.fromEntries(all(graph, 5).map(({ bytes }) => tensorOf(fieldsOf(bytes))));
  const nodes = all(graph, 1).map(({ bytes }) => {
    const fields = fieldsOf(bytes);
    const attributes = Object.fromEntries(all(fields, 5).map((each) => {
      const attribute = fieldsOf(each.bytes);
      return [text(one(attribute, 1)), one(attribute, 20).value === 7 ? all(attribute, 8).map(({ value }) => value) : [one(attribute, 3).value]];
    })) as Record<string, number[]>;
    return { inputs: all(fields, 1).map(text), outputs: all(fields, 2).map(text), operator: text(one(fields, 4)), attributes };
  });
  const names = (field: number): string[] => all(graph, field).map(({ bytes }) => text(one(fieldsOf(bytes), 1)));
  return {
    opset: one(fieldsOf(one(model, 8).bytes), 2).value,
    inputs: names(11),
    outputs: names(12),
    run(feeds) {
      const values: Record<string, Array3> = { ...weights, ...feeds };
      for (const { inputs, outputs, operator, attributes } of nodes) {
        const output = apply(operator, inputs.map((name) => values[name]!), attributes);
        values[outputs.at(-1)!] = output;
      }
      return Object.fromEntries(names(12).map((name) => [name, values[name]!]));
    },
  };
}

function apply(operator: string, inputs: Array3[], attributes: Record<string, number[]>): Array3 {
  const [a, b, c] = inputs as [Array3, Array3, Array3];
  switch (operator) {
    case 'Identity': return a;
    case 'Add': return broadcast(a, b, (x, y) => x + y);
    case 'Sub': return broadcast(a, b, (x, y) => x - y);
    case 'Mul': return broadcast(a, b, (x, y) => x * y);
    case 'Div': return broadcast(a, b, (x, y) => x / y);
    case 'Max': return broadcast(a, b, Math.max);
    case 'Min': return broadcast(a, b, Math.min);
    case 'IsNaN': return each(a, (x) => (Number.isNaN(x) ? 1 : 0));
    case 'Relu': return each(a, (x) => Math.max(0, x));
    case 'Softplus': return each(a, (x) => Math.log(Math.exp(x) + 1));
    case 'Where': return { size: c.size, values: Array.from(c.values, (value, at) => (a.values[at] ? b.values[0]! : value)) };
    case 'MatMul': return matMul(a, b);
    case 'Squeeze': return { size: a.size.filter((_, axis) => axis !== b.values[0]), values: a.values };
    case 'Unsqueeze': return { size: [...a.size.slice(0, b.values[0]), 1, ...a.size.slice(b.values[0])], values: a.values };
    case 'Transpose': return swapFirstTwo(a, attributes['perm']!);
    case 'Concat': return concat(inputs, attributes['axis']![0]!);
    case 'GRU': return gru(inputs, attributes);
    default: throw new Error(`operator ${operator}`);
  }
}

function each(a: Array3, of: (x: number) => number): Array3 {
  return { size: a.size, values: Array.from(a.values, of) };
}

/** The right operand repeats along the leading dimensions. */
function broadcast(a: Array3, b: Array3, of: (x: number, y: number) => number): Array3 {
  return { size: a.size, values: Array.from(a.values, (x, at) => of(x, b.values[at % b.values.length]!)) };
}

function matMul(a: Array3, b: Array3): Array3 {
  const [rows, inner] = a.size as [number, number];
  const columns = b.size[1]!;
  const values = Array.from({ length: rows * columns }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += a.values[Math.floor(at / columns) * inner + k]! * b.values[k * columns + (at % columns)]!;
    return sum;
  });
  return { size: [rows, columns], values };
}

function swapFirstTwo(a: Array3, perm: number[]): Array3 {
  if (perm.join() !== '1,0,2') throw new Error(`transposes by ${perm.join()}`);
  const [first, second, third] = a.size as [number, number, number];
  return { size: [second, first, third], values: Array.from(a.values, (_, at) => a.values[(Math.floor(at / third) % first) * second * third + Math.floor(at / third / first) * third + (at % third)]!) };
}

function concat(parts: Array3[], axis: number): Array3 {
  const widths = parts.map(({ size }) => size.slice(axis).reduce((product, length) => product * length, 1));
  const rows = parts[0]!.values.length / widths[0]!;
  const values = Array.from({ length: rows }, (_, row) => parts.flatMap((part, index) => Array.from({ length: widths[index]! }, (_, at) => part.values[row * widths[index]! + at]!))).flat();
  return { size: parts[0]!.size.map((length, at) => (at === axis ? parts.reduce((sum, { size }) => sum + size[axis]!, 0) : length)), values };
}

/** @see https://onnx.ai/onnx/operators/onnx__GRU.html, with linear_before_reset; only Y_h */
function gru([x, w, r, b]: Array3[], attributes: Record<string, number[]>): Array3 {
  if (attributes['linear_before_reset']?.[0] !== 1) throw new Error('only linear_before_reset');
  const [steps, batch, channels] = x!.size as [number, number, number];
  const hidden = attributes['hidden_size']![0]!;
  const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));
  const product = (weights: Array3, width: number, gate: number, vector: (at: number) => number): number => {
    let sum = 0;
    for (let at = 0; at < width; at++) sum += vector(at) * weights.values[gate * width + at]!;
    return sum;
  };
  let state = Array.from({ length: batch * hidden }, () => 0);
  for (let step = 0; step < steps; step++) {
    state = state.map((before, at) => {
      const row = Math.floor(at / hidden);
      const unit = at % hidden;
      const input = (gate: number): number => product(w!, channels, gate * hidden + unit, (k) => x!.values[(step * batch + row) * channels + k]!) + b!.values[gate * hidden + unit]!;
      const recurrent = (gate: number): number => product(r!, hidden, gate * hidden + unit, (k) => state[row * hidden + k]!) + b!.values[(3 + gate) * hidden + unit]!;
      const z = sigmoid(input(0) + recurrent(0));
      const reset = sigmoid(input(1) + recurrent(1));
      const candidate = Math.tanh(input(2) + reset * recurrent(2));
      return (1 - z) * candidate + z * before;
    });
  }
  return { size: [1, batch, hidden], values: state };
}

function tensorOf(fields: Field[]): [string, Array3] {
  const raw = one(fields, 9).bytes.slice();
  const values = one(fields, 2).value === 1 ? new Float32Array(raw.buffer) : Array.from(new BigInt64Array(raw.buffer), Number);
  const size = all(fields, 1).map(({ value }) => value);
  if (size.reduce((product, each) => product * each, 1) !== values.length) throw new Error('the size does not fit the data');
  return [text(one(fields, 8)), { size, values }];
}

function fieldsOf(bytes: Uint8Array): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const value = varint();
    const isBytes = (key & 7) === 2;
    fields.push({ field: key >> 3, value, bytes: isBytes ? bytes.subarray(at, at + value) : new Uint8Array(0) });
    if (isBytes) at += value;
    else if ((key & 7) !== 0) throw new Error(`wire type ${key & 7}`);
  }
  return fields;
}

function all(fields: Field[], number: number): Field[] {
  return fields.filter(({ field }) => field === number);
}

function one(fields: Field[], number: number): Field {
  const found = all(fields, number);
  if (found.length !== 1) throw new Error(`${found.length} fields ${number}`);
  return found[0]!;
}

function text({ bytes }: Field): string {
  return new TextDecoder().decode(bytes);
}
