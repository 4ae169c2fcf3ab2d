// In: a SignedConfig from the engine or from disk, a verifier. Out: the config to run, or a refusal with its reason.
// Start reading at admission.ts (older, same, forged, below the floor), then floor.ts (what no signature lifts).
// verify.ts checks hashes and signature, config-store.ts keeps the accepted config in two copies, credentials.ts enrols.
// channel-client.ts holds the connection to the engine; admission.ts and floor.ts are pure.
// Others import from this file only.
export * from './admission.ts';
export * from './config-store.ts';
export * from './floor.ts';
export * from './channel-client.ts';
export * from './credentials.ts';
export { createCsr } from './der.ts';
export * from './ppk.ts';
export * from './revocations.ts';
export { readEngineClock } from './engine-request.ts';
export * from './verify.ts';
