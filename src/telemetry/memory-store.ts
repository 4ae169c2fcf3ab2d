import { MemoryLog } from './memory-log.ts';
import { createQueuedStore } from './queued-store.ts';
import { DEFAULT_RETENTION } from './roll-up.ts';
import type { StoreOptions, TelemetryStore } from './store.ts';

/** A store that forgets with the process: for tests and the simulated network. Same answers as the DuckDB one. */
export function createMemoryStore(options: StoreOptions = {}): TelemetryStore {
  const nothing = { sequences: new Map(), windows: { paths: [], tunnels: [], lastUsed: new Map() } };
  return createQueuedStore(new MemoryLog({ ...DEFAULT_RETENTION, ...options.retention }), nothing, options.clock);
}
