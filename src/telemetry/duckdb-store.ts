import { openDuckDbLog } from './duckdb-log.ts';
import { PATH_WINDOWS } from './path-quality.ts';
import { createQueuedStore } from './queued-store.ts';
import { DEFAULT_RETENTION } from './roll-up.ts';
import type { StoreOptions, TelemetryStore } from './store.ts';

/**
 * Opens (and makes, when absent) the telemetry database in one file. One process at a time may have it open.
 * @throws ForemeshError TELEMETRY_FAILED when the file is in use or not writable, STATE_DAMAGED when it is not a database
 */
export async function openDuckDbStore(file: string, options: StoreOptions = {}): Promise<TelemetryStore> {
  const log = await openDuckDbLog(file, { ...DEFAULT_RETENTION, ...options.retention });
  return createQueuedStore(log, { sequences: await log.sequences(), windows: await log.recentWindows(PATH_WINDOWS) }, options.clock);
}
