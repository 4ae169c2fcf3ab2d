import { createHash } from 'node:crypto';
import { readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ForemeshError, messageOf, readFileIfExists, writeFileAtomic } from '../base/index.ts';
import type { BacktestScore, ClassId, DemandSeries, ForecastSettings, SiteId } from '../model/index.ts';
import type { Calibration } from './conformal.ts';
import type { TrainedState } from './contest.ts';
import type { ForecastModel } from './forecast-model.ts';
import type { ModelName } from './forecaster.ts';

const SCHEMA = 'foremesh/forecast-state/v1';
const MANIFEST = 'forecast.json';

/** `forecast.json`. Numbers in bulk stand in one binary file named by its digest: history first as float64, then each model's weights as float32, little-endian. */
interface Manifest {
  schema: string;
  settings: ForecastSettings;
  historyEndAt: number;
  history: { from: SiteId; to: SiteId; classId: ClassId; slots: number }[];
  /** Best first. */
  models: { name: ModelName; score: BacktestScore | null; calibration: Calibration | null; sizes: Record<string, number> | null; weights: number }[];
  binary: { file: string; sha256: string };
}

/** Writes the binary file first and the manifest that names it last, each atomically, then removes older binary files. */
export async function writeState(folder: string, state: TrainedState): Promise<void> {
  if (state.settings === null) return;
  const dumps = state.contestants.map(({ model }) => model.dump());
  const history = state.history.map((series) => littleEndian(series.mbps.map((value) => value ?? Number.NaN), 8));
  const bytes = Buffer.concat([...history, ...dumps.map((dump) => littleEndian(dump?.weights ?? [], 4))]);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const file = `forecast-${sha256.slice(0, 16)}.bin`;
  const manifest: Manifest = {
    schema: SCHEMA,
    settings: state.settings,
    historyEndAt: state.historyEndAt,
    history: state.history.map(({ from, to, classId, mbps }) => ({ from, to, classId, slots: mbps.length })),
    models: state.contestants.map(({ model, score, calibration }, index) => ({ name: model.name as ModelName, score, calibration, sizes: dumps[index]?.settings ?? null, weights: dumps[index]?.weights.length ?? 0 })),
    binary: { file, sha256 },
  };
  await writeFileAtomic(join(folder, file), bytes, 0o600);
  await writeFileAtomic(join(folder, MANIFEST), `${JSON.stringify(manifest, null, 1)}\n`, 0o600);
  for (const name of await readdir(folder)) {
    if (/^forecast-[0-9a-f]{16}\.bin$/.test(name) && name !== file) await unlink(join(folder, name));
  }
}

/** @returns null when the folder holds no state @throws ForemeshError STATE_DAMAGED when it holds one that cannot be used */
export async function readState(folder: string, makeModel: (name: ModelName) => Promise<ForecastModel>, wanted: readonly ModelName[]): Promise<TrainedState | null> {
  const text = await readFileIfExists(join(folder, MANIFEST));
  if (text === null) return null;
  try {
    const manifest = JSON.parse(text) as Manifest;
    if (manifest.schema !== SCHEMA) throw new Error(`schema is ${manifest.schema.slice(0, 60)}, not ${SCHEMA}`);
    if (!/^forecast-[0-9a-f]{16}\.bin$/.test(manifest.binary.file)) throw new Error('the name of the binary file is not one of ours');
    const bytes = await readFile(join(folder, manifest.binary.file));
    if (createHash('sha256').update(bytes).digest('hex') !== manifest.binary.sha256) throw new Error(`${manifest.binary.file} has other bytes than were written`);
    return await restore(manifest, bytes, makeModel, wanted);
  } catch (cause) {
    throw new ForemeshError('STATE_DAMAGED', { what: `the forecast state in ${folder} cannot be used: ${messageOf(cause)}`, fix: 'remove the folder and train again', cause });
  }
}

async function restore(manifest: Manifest, bytes: Buffer, makeModel: (name: ModelName) => Promise<ForecastModel>, wanted: readonly ModelName[]): Promise<TrainedState> {
  let at = 0;
  const take = (count: number, size: 4 | 8): number[] => {
    if (!(count >= 0) || at + count * size > bytes.length) throw new Error('the binary file is too short');
    const from = at;
    at += count * size;
    return Array.from({ length: count }, (_, index) => (size === 8 ? bytes.readDoubleLE(from + index * 8) : bytes.readFloatLE(from + index * 4)));
  };
  const history: DemandSeries[] = manifest.history.map(({ from, to, classId, slots }) => ({ from, to, classId, mbps: take(slots, 8).map((value) => (Number.isNaN(value) ? null : value)) }));
  const contestants: TrainedState['contestants'] = [];
  for (const { name, score, calibration, sizes, weights } of manifest.models) {
    const part = Float32Array.from(take(weights, 4));
    if (!wanted.includes(name)) continue;
    const model = await makeModel(name);
    if (sizes) await model.restore({ settings: sizes, weights: part });
    contestants.push({ model, score, calibration });
  }
  return { settings: manifest.settings, history, historyEndAt: manifest.historyEndAt, contestants };
}

function littleEndian(values: ArrayLike<number>, size: 4 | 8): Buffer {
  const bytes = Buffer.alloc(values.length * size);
  for (let index = 0; index < values.length; index++) {
    if (size === 8) bytes.writeDoubleLE(values[index]!, index * 8);
    else bytes.writeFloatLE(values[index]!, index * 4);
  }
  return bytes;
}
