// The part of the WebAssembly API that we use: TypeScript has it only among the types of browsers.
declare namespace WebAssembly {
  class Memory {
    constructor(limits: { initial: number });
    readonly buffer: ArrayBuffer;
    /** By so many pages; views of the buffer before it are void. */
    grow(pages: number): number;
  }
  interface Module {
    readonly isModule: true;
  }
  const Module: new (bytes: Uint8Array<ArrayBuffer>) => Module;
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, unknown>>);
    readonly exports: Record<string, unknown>;
  }
}
