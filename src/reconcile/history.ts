import { join } from 'node:path';
import { ForemeshError, readFileIfExists } from '../base/index.ts';
import { generateHistory } from '../forecast/index.ts';
import { connectionFor, type Intent } from '../model/index.ts';
import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { demandPairs } from './demand-pairs.ts';
import type { TrainingHistory } from './deps.ts';

/** Small on purpose: a made-up past may shape a forecast's rhythm, but should not ask for tunnels that nobody uses. */
const BASE_MBPS = 0.5;
const PEAK_MBPS = 2;

/**
 * The past that models are first trained on: `stateDir/history.json.gz` when somebody recorded one, otherwise a generated
 * one of `days` days for every admitted pair and class, with the day curve of an office.
 * @throws ForemeshError STATE_DAMAGED when the recorded one cannot be read
 */
export function createHistory(options: { stateDir: string; days: number; seed: string }): (intent: Intent, now: number) => Promise<TrainingHistory> {
  return async (intent, now) => (await recordedHistory(join(options.stateDir, 'history.json.gz'))) ?? generatedHistory(intent, now, options.days, options.seed);
}

/** Ends at the last slot border before `now`. */
export function generatedHistory(intent: Intent, now: number, days: number, seed: string): TrainingHistory {
  const { slotMs, slotsPerDay } = intent.mesh.forecast;
  const endAt = Math.floor(now / slotMs) * slotMs;
  const demands = demandPairs(intent).map(({ from, to, classId }) => {
    const minMbps = connectionFor(intent, from, to)?.minMbps ?? 0;
    return { from, to, classId, baseMbps: BASE_MBPS, peakMbps: Math.max(PEAK_MBPS, minMbps) };
  });
  return { series: generateHistory({ demands, slotMs, slotsPerDay, days, endAt, seed }), endAt, isMadeUp: true };
}

async function recordedHistory(file: string): Promise<TrainingHistory | null> {
  if ((await readFileIfExists(file)) === null) return null;
  try {
    const value = JSON.parse(gunzipSync(await readFile(file)).toString('utf8')) as TrainingHistory;
    if (Number.isFinite(value.endAt) && Array.isArray(value.series) && value.series.every(({ mbps }) => Array.isArray(mbps))) return { series: value.series, endAt: value.endAt, isMadeUp: value.isMadeUp === true };
  } catch (cause) {
    throw damaged(file, cause);
  }
  throw damaged(file, undefined);
}

function damaged(file: string, cause: unknown): ForemeshError {
  return new ForemeshError('STATE_DAMAGED', {
    what: `${file} is not a recorded history`,
    fix: 'gzip JSON of the form { "series": [{ "from", "to", "classId", "mbps": [] }], "endAt": ms, "isMadeUp": false }, or remove the file',
    cause,
  });
}
