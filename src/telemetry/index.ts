// In: samples, as agents report them in numbered batches. Out: an Observation of the recent past, for forecast and planner.
// Knows only base and model; where samples are kept is behind `SampleLog` (DuckDB file, or memory).
// Start reading at store.ts (the port), then recent.ts (what is answered from memory), then duckdb-log.ts.
// Effects: duckdb-log.ts owns one database file; everything else is computation. Time comes from the clock that is passed in.
// Others import from this file only.
export { openDuckDbStore } from './duckdb-store.ts';
export { createMemoryStore } from './memory-store.ts';
export { DOWN_SAMPLING, type Retention } from './roll-up.ts';
export { TUNNEL_NOISE_BYTES, tunnelNoiseBytes } from './tunnel-usage.ts';
export { FUTURE_MAX_MS, SAMPLE_BYTES_MAX, splitPlausible } from './plausible.ts';
export type { ObserveQuery, StoreOptions, TelemetryStore } from './store.ts';
