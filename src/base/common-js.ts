import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/**
 * A CommonJS package without `import`: importing one makes Node start WebAssembly to find its names, which every thread
 * pays for with 8 to 11 MB that stay. `tools/npm-closure.mjs` knows this function by its name.
 */
export function requireCommonJs<Module>(name: string): Module {
  return require(name) as Module;
}
