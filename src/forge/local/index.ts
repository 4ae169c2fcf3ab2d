// In: the folder of a bare repository. Out: a Forge whose changes are records under refs/mesh/changes/<n>, and signed reviews.
// Each change is a chain of commits holding change.json; each step is a compare-and-swap, a merge is one transaction.
// Start reading at forge.ts, then record-store.ts (how a step is written) and merge.ts (what is refused).
// Nobody is believed by position: reviews are checked against mesh-config/allowed_signers of the default branch at each reading.
// Others import from src/forge/index.ts only.
export { createLocalForge, type LocalForge, type LocalForgeOptions } from './forge.ts';
export type { ChangeRecord } from './record.ts';
