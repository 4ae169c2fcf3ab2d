import { bytesField, integerField, message, type Encoded } from './protobuf.ts';

const FLOAT = 1;
const INT64 = 7;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_INTS = 7;
/** Old enough for every runtime of the last years: GRU and Squeeze have not changed up to 21. */
const OPSET = 13;
const IR_VERSION = 7;

/** A value's name and size; the first dimension is the number of rows, free. */
export interface GraphValue {
  name: string;
  size: readonly number[];
}

/** Collects nodes and weights; each maker returns the name of its output. @see https://onnx.ai/onnx/repo-docs/IR.html */
export class OnnxGraph {
  private readonly nodes: Encoded[] = [];
  private readonly tensors: Encoded[] = [];
  private names = 0;

  floats(size: readonly number[], values: Float32Array): string {
    return this.tensor(size, FLOAT, new Uint8Array(Float32Array.from(values).buffer));
  }

  integers(...values: number[]): string {
    return this.tensor([values.length], INT64, new Uint8Array(BigInt64Array.from(values, BigInt).buffer));
  }

  /** @param skipped  outputs before the one wanted */
  node(operator: string, inputs: readonly string[], attributes: Record<string, number | readonly number[]> = {}, skipped = 0): string {
    const output = this.name(operator);
    const outputs = [...Array.from({ length: skipped }, () => ''), output];
    this.nodes.push(message(
      inputs.map((input) => bytesField(1, input)),
      outputs.map((each) => bytesField(2, each)),
      bytesField(4, operator),
      Object.entries(attributes).map(([name, value]) => bytesField(5, attribute(name, value))),
    ));
    return output;
  }

  /** The whole model; the last node's output gets the name of `output`. */
  model(inputs: readonly GraphValue[], output: GraphValue, from: string, about: Record<string, string>): Encoded {
    this.nodes.push(message(bytesField(1, from), bytesField(2, output.name), bytesField(4, 'Identity')));
    const graph = message(
      this.nodes.map((each) => bytesField(1, each)),
      bytesField(2, 'foremesh'),
      this.tensors.map((each) => bytesField(5, each)),
      inputs.map((each) => bytesField(11, valueInfo(each))),
      bytesField(12, valueInfo(output)),
    );
    return message(
      integerField(1, IR_VERSION),
      bytesField(2, 'foremesh'),
      bytesField(7, graph),
      bytesField(8, message(bytesField(1, ''), integerField(2, OPSET))),
      Object.entries(about).map(([key, value]) => bytesField(14, message(bytesField(1, key), bytesField(2, value)))),
    );
  }

  private tensor(size: readonly number[], type: number, bytes: Uint8Array): string {
    const name = this.name('weight');
    this.tensors.push(message(size.map((each) => integerField(1, each)), integerField(2, type), bytesField(8, name), bytesField(9, bytes)));
    return name;
  }

  private name(stem: string): string {
    this.names += 1;
    return `${stem.toLowerCase()}${this.names}`;
  }
}

function attribute(name: string, value: number | readonly number[]): Encoded {
  if (typeof value === 'number') return message(bytesField(1, name), integerField(3, value), integerField(20, ATTRIBUTE_INT));
  return message(bytesField(1, name), value.map((each) => integerField(8, each)), integerField(20, ATTRIBUTE_INTS));
}

function valueInfo({ name, size }: GraphValue): Encoded {
  const rows = bytesField(1, bytesField(2, 'rows'));
  const dimensions = size.map((each) => bytesField(1, integerField(1, each)));
  const tensor = message(integerField(1, FLOAT), bytesField(2, message(rows, dimensions)));
  return message(bytesField(1, name), bytesField(2, bytesField(1, tensor)));
}
