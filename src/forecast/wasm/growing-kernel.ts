import { assembleModule, pagesFor, type WasmFunction } from './assembler.ts';

/**
 * A kernel that is made when it is first needed, the thread's only one of its kind.
 * @returns gives it with at least so many bytes of memory; when that grows, earlier views of it are void
 */
export function growingKernel<Functions>(functions: () => readonly WasmFunction[]): (bytes: number) => Functions & { memory: WebAssembly.Memory } {
  let kernel: (Functions & { memory: WebAssembly.Memory }) | null = null;
  return (bytes) => {
    if (!kernel) {
      const memory = new WebAssembly.Memory({ initial: pagesFor(bytes) });
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(assembleModule(functions(), 1)), { env: { memory } });
      kernel = { ...(exports as Functions), memory };
    }
    const missing = pagesFor(bytes - kernel.memory.buffer.byteLength);
    if (missing > 0) kernel.memory.grow(missing);
    return kernel;
  };
}
