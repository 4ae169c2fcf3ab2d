import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { writeFileAtomic } from '../../base/index.ts';
import { generateHistory } from '../../forecast/index.ts';
import type { SenderSpec } from '../world.ts';
import { SLOTS_PER_DAY, SLOT_MS } from './settings.ts';

/** Of 96 slots: enough for day seasons, quick to train on. The demo's days have no weekends, and neither has its past. */
const DAYS = 10;

/**
 * Writes the synthetic past of the demo's demands where the engine looks for a recorded one. Its days have the senders'
 * shape and phase, its noise and bursts are its own.
 */
export async function writeDemoHistory(options: { stateDir: string; senders: readonly SenderSpec[]; now: number; phaseMs: number; seed: string }): Promise<void> {
  const endAt = Math.floor(options.now / SLOT_MS) * SLOT_MS;
  const demands = options.senders.map(({ from, to, classId, rate }) => ({
    from,
    to,
    classId,
    baseMbps: rate.kind === 'constant' ? rate.mbps : rate.lowMbps,
    peakMbps: rate.kind === 'constant' ? rate.mbps : rate.highMbps,
  }));
  const series = generateHistory({ demands, slotMs: SLOT_MS, slotsPerDay: SLOTS_PER_DAY, days: DAYS, endAt: endAt + options.phaseMs, seed: options.seed, weekendFactor: 1 });
  await writeFileAtomic(join(options.stateDir, 'history.json.gz'), gzipSync(JSON.stringify({ series, endAt, isMadeUp: true })));
}
