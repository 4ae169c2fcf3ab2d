/**
 * The evaluator's thread, as source text: CommonJS, no imports of ours. It is text because a thread cannot load
 * TypeScript where tests run, and must load the same code where the build runs; text does both, without a loader.
 *
 * Gets `workerData` = { opaWasm: path of the package, wasm, pagesMax } and messages { id, question, input: JSON text };
 * answers { id, results } or { id, error }. One WASM instance, 64 KiB a page; what it throws may be a bare string.
 */
export const WORKER_SOURCE = `'use strict';
const { parentPort, workerData } = require('node:worker_threads');
const { loadPolicySync } = require(workerData.opaWasm);
const policy = loadPolicySync(workerData.wasm, { initial: 5, maximum: workerData.pagesMax });
const textOf = (thrown) => String(thrown && thrown.message ? thrown.message : thrown).slice(0, 500);
parentPort.on('message', ({ id, question, input }) => {
  let answer;
  try {
    const bytes = new TextEncoder().encode(input);
    answer = { id, results: policy.evaluate(bytes.buffer.slice(0, bytes.length), 'foremesh/' + question + '/verdict') };
  } catch (thrown) {
    answer = { id, error: textOf(thrown) };
  }
  parentPort.postMessage(answer);
});
parentPort.postMessage({ ready: Object.keys(policy.entrypoints) });
`;
