// In: samples, as agents report them in numbered batches. Out: an Observation of the recent past, for forecast and planner.
// Knows only base and model; where samples are kept is behind `SampleLog` (DuckDB file, or memory).
// What gateways say is held against what the others counted in trust/: start at trust/judge-window.ts.
// Start reading at store.ts (the port), then recent.ts (what is answered from memory), then duckdb-log.ts.
// Effects: duckdb-log.ts owns one database file; everything else is computation. Time comes from the clock that is passed in.
// Others import from this file only.
export { openDuckDbStore } from './duckdb-store.ts';
export { createMemoryStore } from './memory-store.ts';
export { DOWN_SAMPLING, type Retention } from './roll-up.ts';
export { TUNNEL_NOISE_BYTES, tunnelNoiseBytes } from './tunnel-usage.ts';
export { FUTURE_MAX_MS, SAMPLE_BYTES_MAX, splitPlausible } from './plausible.ts';
export type { ObserveQuery, StoreOptions, TelemetryStore } from './store.ts';
export { boundObservation, withoutImpossible, withoutUnknown, withoutUntrusted } from './trust/apply-trust.ts';
export { countedWindows, type CountedWindows } from './trust/counted.ts';
export { driftsOf, type NodeDrift } from './trust/drift-gate.ts';
export { withGeography, type ImpossiblePath } from './trust/geography.ts';
export { judgeWindow, type WindowJudgement } from './trust/judge-window.ts';
export { againTrust, nextTrust, NO_TRUST_STATE, quarantinesOf, withDrift, withUnheard, type TrustEvent, type TrustState } from './trust/quarantine.ts';
export { capacityOf, joinTopologies, topologyOf, topologyText, type Topology } from './trust/topology.ts';
