// In: signed configs from the engine, a machine behind the ports. Out: a running mesh node, its samples and its status.
// Start reading at agent.ts (the life of an agent), then ports.ts (what it needs), reconcile/next-actions.ts (what it does).
// sync/ decides what may run, reconcile/ makes it so, probe/ judges paths, report/ measures; vici/ and dataplane/ are adapters.
// The core has no socket, file or clock of its own and runs in the simulated network unchanged; main.ts is the real process.
// Others import from this file, ports.ts or a folder's index.ts only.
export * from './agent.ts';
export * from './ports.ts';
export { createMemoryOutbox, type Outbox } from './report/index.ts';
export { createMemoryConfigStore, type ConfigStore } from './sync/index.ts';
