import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type * as TensorFlow from '@tensorflow/tfjs-core';
import type * as Layers from '@tensorflow/tfjs-layers';

/** TensorFlow.js with a working backend. */
export interface TensorFlowRuntime {
  tf: typeof TensorFlow;
  layers: typeof Layers;
  /** `tensorflow` (native, when the user installed `@tensorflow/tfjs-node`), `wasm` or `cpu`. */
  backend: string;
}

let loaded: Promise<TensorFlowRuntime> | null = null;

/**
 * Loads TensorFlow.js once a process: the native backend when installed, else WebAssembly, else plain JavaScript. They
 * are CommonJS, so they come in by `require`, which shares one core among them.
 */
export function loadTensorFlow(): Promise<TensorFlowRuntime> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<TensorFlowRuntime> {
  const require = createRequire(import.meta.url);
  const tf = require('@tensorflow/tfjs-core') as typeof TensorFlow;
  tf.enableProdMode(); // no advertisement for tfjs-node on stderr, no checks of every number
  const native = loadNative(require, tf);
  const layers = require('@tensorflow/tfjs-layers') as typeof Layers;
  if (native && (await tf.setBackend('tensorflow'))) return { tf, layers, backend: 'tensorflow' };
  require('@tensorflow/tfjs-backend-cpu');
  const backend = (await startWasm(require, tf)) ? 'wasm' : 'cpu';
  if (backend === 'cpu') await tf.setBackend('cpu');
  await tf.ready();
  return { tf, layers, backend };
}

/** @returns whether tfjs-node is installed and registered itself with the same core */
function loadNative(require: NodeJS.Require, tf: typeof TensorFlow): boolean {
  try {
    require('@tensorflow/tfjs-node');
  } catch {
    return false; // optional: not installed, or its binary does not fit this machine
  }
  return tf.engine().backendNames().includes('tensorflow');
}

async function startWasm(require: NodeJS.Require, tf: typeof TensorFlow): Promise<boolean> {
  try {
    const wasm = require('@tensorflow/tfjs-backend-wasm') as { setWasmPaths(folder: string): void };
    wasm.setWasmPaths(join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')), '/'));
    return await tf.setBackend('wasm');
  } catch {
    return false; // no WebAssembly SIMD or files missing: plain JavaScript gives the same numbers, slower
  }
}
