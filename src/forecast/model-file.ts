import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { canonicalJson, ForemeshError, messageOf } from '../base/index.ts';
import type { BacktestScore, ForecastSettings, PairGroup, ServingModel } from '../model/index.ts';
import { makeCandidate } from './candidates.ts';
import type { CovariateName } from './covariates.ts';
import { PAIR_GROUPS, servingModels, type Champion } from './contest.ts';
import { matrixOf } from './demand-series.ts';
import { MODEL_NAMES, type ForecasterOptions, type ModelName } from './forecaster.ts';
import { CombinedModel } from './matrix/combined-model.ts';
import type { TrainedModel, TrainedState } from './train-models.ts';

/** What a file says of itself, for lists of versions. */
export interface ModelFileHeader {
  digest: string;
  settings: ForecastSettings;
  seed: string;
  window: { endAt: number; slots: number };
  pairs: number;
  models: string[];
  backtest: BacktestScore[];
  serving: ServingModel[];
}

/**
 * A file of what a forecaster learned, packed by gzip: eight bytes that name the format, the length of a JSON head, the
 * head, then numbers in bulk, little-endian, in the order of `head.content.sections`. It holds the last days of the
 * demands that it was trained on. `head.digest` is the sha256 of the canonical JSON of `content` and of the numbers.
 */
const MAGIC = 'FMMODEL1';
const SCHEMA = 'foremesh/forecast-model/v1';
/** A file that would unpack to more is refused. */
const BYTES_MAX = 1 << 30;
const PAIRS_MAX = 100_000;
const GROUPS: readonly PairGroup[] = PAIR_GROUPS;

interface Content {
  schema: string;
  settings: ForecastSettings;
  seed: string;
  window: { endAt: number; slots: number };
  history: { startAt: number; length: number; pairs: string[] };
  groups: PairGroup[];
  covariates: CovariateName[];
  anchors: number[];
  models: { name: string; settings: unknown; weights: number; calibrated: number[]; corrected?: number[]; before: { settings: unknown; weights: number } | null }[];
  champions: Champion[];
  backtest: BacktestScore[];
  sections: { type: 'f32' | 'f64'; length: number }[];
}

export function packModels(state: TrainedState): { file: Uint8Array; digest: string } {
  const sections: (Float32Array | Float64Array)[] = [...state.history.values];
  const models = state.models.map(({ model, calibrations, corrections, beforeTest }) => {
    // What others are combined of are models of the file themselves.
    const dump = (model instanceof CombinedModel ? null : model.dump?.()) ?? { settings: null, weights: [] };
    sections.push(...dump.weights);
    for (const { p90, p95, units } of calibrations.values()) sections.push(p90, p95, units);
    for (const { median, p90, p95 } of corrections.values()) sections.push(median, p90, p95);
    sections.push(...(beforeTest?.weights ?? []));
    return { name: model.name, settings: dump.settings, weights: dump.weights.length, calibrated: [...calibrations.keys()], corrected: [...corrections.keys()], before: beforeTest && { settings: beforeTest.settings, weights: beforeTest.weights.length } };
  });
  const content: Content = {
    schema: SCHEMA,
    settings: state.settings,
    seed: state.seed,
    window: state.window,
    history: { startAt: state.history.startAt, length: state.history.length, pairs: state.history.pairs },
    groups: state.groups,
    covariates: state.covariates,
    anchors: state.anchors,
    models,
    champions: state.champions,
    backtest: state.backtest,
    sections: sections.map((section) => ({ type: section instanceof Float32Array ? 'f32' : 'f64', length: section.length })),
  };
  const text = canonicalJson(content);
  const bulk = Buffer.concat(sections.map(littleEndian));
  const digest = digestOf(text, bulk);
  const head = Buffer.from(JSON.stringify({ digest, content: text }));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(head.length);
  return { file: gzipSync(Buffer.concat([Buffer.from(MAGIC), length, head, bulk])), digest };
}

/**
 * The state that a file holds, checked number by number before anything uses it.
 * @param where  what to call the file in an error
 * @throws ForemeshError FORECAST_MODEL_INVALID
 */
export function unpackModels(file: Uint8Array, where: string, options: ForecasterOptions = {}): { state: TrainedState; header: ModelFileHeader } {
  try {
    const { digest, content, bulk } = readParts(file);
    const state = restore(content, bulk, options);
    return { state, header: headerOf(state, digest) };
  } catch (cause) {
    throw new ForemeshError('FORECAST_MODEL_INVALID', { what: `${where} is no model that can be used: ${messageOf(cause)}`, fix: 'export it again where it came from, or train a new one; the model in use stays', cause });
  }
}

export function headerOf(state: TrainedState, digest: string): ModelFileHeader {
  const { settings, seed, window, backtest } = state;
  return { digest, settings, seed, window, pairs: state.history.pairs.length, models: state.models.map(({ model }) => model.name), backtest, serving: servingOf(state) };
}

/** Who serves whom after the contest. */
export function servingOf({ champions, groups }: Pick<TrainedState, 'champions' | 'groups'>): ServingModel[] {
  const pairs = Object.fromEntries(GROUPS.map((group) => [group, groups.filter((each) => each === group).length])) as Record<PairGroup, number>;
  return servingModels(champions, pairs);
}

function readParts(file: Uint8Array): { digest: string; content: Content; bulk: Buffer } {
  const bytes = gunzipSync(file, { maxOutputLength: BYTES_MAX });
  if (bytes.subarray(0, MAGIC.length).toString('latin1') !== MAGIC) throw new Error('it does not begin as one');
  const from = MAGIC.length + 4;
  const until = from + bytes.readUInt32LE(MAGIC.length);
  if (until > bytes.length) throw new Error('it ends too soon');
  const head = JSON.parse(bytes.subarray(from, until).toString('utf8')) as { digest: string; content: string };
  const bulk = bytes.subarray(until);
  if (typeof head.content !== 'string' || digestOf(head.content, bulk) !== head.digest) throw new Error('its bytes are not those that its digest was made of');
  return { digest: head.digest, content: JSON.parse(head.content) as Content, bulk };
}

function restore(content: Content, bulk: Buffer, options: ForecasterOptions): TrainedState {
  expect(content.schema === SCHEMA, `its schema is ${JSON.stringify(content.schema).slice(0, 60)}, not ${SCHEMA}`);
  const { settings, history, groups, anchors } = content;
  expect([settings.slotMs, settings.slotsPerDay, settings.horizonSlots].every((value) => Number.isInteger(value) && value > 0), 'its slots are none');
  expect(Array.isArray(history.pairs) && history.pairs.length <= PAIRS_MAX && history.pairs.every((name) => /^[a-z0-9-]+>[a-z0-9-]+#[a-z0-9-]+$/.test(name)), 'its pairs are none');
  expect(groups.length === history.pairs.length && groups.every((group) => GROUPS.includes(group)), 'its pairs are of no known kind');
  expect(anchors.length > 0 && anchors.every((steps, index) => Number.isInteger(steps) && steps > (anchors[index - 1] ?? 0)), 'its horizons do not ascend');
  expect(Array.isArray(content.covariates) && content.covariates.every(({ name, isKnownAhead }) => typeof name === 'string' && typeof isKnownAhead === 'boolean'), 'its inputs are none');
  const take = sectionReader(content.sections, bulk);
  const values = history.pairs.map(() => take('f32', history.length));
  const models: TrainedModel[] = [];
  for (const kept of content.models) {
    expect((MODEL_NAMES as readonly string[]).includes(kept.name), `it needs the model ${JSON.stringify(kept.name).slice(0, 40)}, which this version of Foremesh does not have`);
    const candidate = makeCandidate(kept.name as ModelName, options, 'thorough', models);
    if (!candidate) throw new Error(`its ${kept.name} has no parts`);
    const takeWeights = (count: number): Float32Array[] => {
      const weights = Array.from({ length: count }, () => take('f32'));
      expect(weights.every((part) => part.every((value) => Number.isFinite(value))), 'a weight is no number');
      return weights;
    };
    const weights = takeWeights(kept.weights);
    if (!(candidate.model instanceof CombinedModel)) candidate.model.restore?.({ settings: kept.settings, weights });
    const calibrations = kept.calibrated.map((steps) => {
      const calibration = { p90: take('f64', groups.length), p95: take('f64', groups.length), units: take('f32', groups.length) };
      expect(anchors.includes(steps) && Object.values(calibration).every((part) => part.every((value) => Number.isFinite(value))), 'a calibration is no number');
      return [steps, calibration] as const;
    });
    // Files of before the correction have none.
    const corrections = (kept.corrected ?? []).map((steps) => {
      const correction = { median: take('f64', groups.length), p90: take('f64', groups.length), p95: take('f64', groups.length) };
      expect(anchors.includes(steps) && Object.values(correction).every((part) => part.every((value) => Number.isFinite(value))), 'a correction is no number');
      return [steps, correction] as const;
    });
    const beforeTest = kept.before && { settings: kept.before.settings, weights: takeWeights(kept.before.weights) };
    models.push({ ...candidate, calibrations: new Map(calibrations), corrections: new Map(corrections), beforeTest });
  }
  take.end();
  const names = new Set<string>(MODEL_NAMES);
  expect(content.champions.every(({ group, steps, ranking, upperRanking = [] }) => GROUPS.includes(group) && anchors.includes(steps) && [...ranking, ...upperRanking].every((name) => names.has(name))), 'its champions are not among its models');
  const { seed, window, champions, backtest } = content;
  return { settings, seed, window, history: matrixOf(history.pairs, history.startAt, settings.slotMs, settings.slotsPerDay, history.length, values), groups, covariates: content.covariates, anchors, models, champions, backtest };
}

interface SectionReader {
  (type: 'f32', length?: number): Float32Array;
  (type: 'f64', length?: number): Float64Array;
  /** Nothing may follow. */
  end(): void;
}

function sectionReader(sections: Content['sections'], bulk: Buffer): SectionReader {
  let index = 0;
  let at = 0;
  const take = (type: 'f32' | 'f64', length?: number): Float32Array | Float64Array => {
    const section = sections[index++];
    const size = type === 'f32' ? 4 : 8;
    if (section?.type !== type || (length !== undefined && section.length !== length) || !(section.length >= 0) || at + section.length * size > bulk.length) throw new Error('its numbers are not laid out as its head says');
    const from = at;
    at += section.length * size;
    return type === 'f32' ? Float32Array.from({ length: section.length }, (_, place) => bulk.readFloatLE(from + place * 4)) : Float64Array.from({ length: section.length }, (_, place) => bulk.readDoubleLE(from + place * 8));
  };
  const end = (): void => expect(index === sections.length && at === bulk.length, 'it holds more than its head says');
  return Object.assign(take, { end }) as SectionReader;
}

function littleEndian(values: Float32Array | Float64Array): Buffer {
  const size = values.BYTES_PER_ELEMENT;
  const bytes = Buffer.alloc(values.length * size);
  for (let index = 0; index < values.length; index++) {
    if (size === 8) bytes.writeDoubleLE(values[index]!, index * 8);
    else bytes.writeFloatLE(values[index]!, index * 4);
  }
  return bytes;
}

function digestOf(content: string, bulk: Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).update(bulk).digest('hex')}`;
}

function expect(isGood: boolean, otherwise: string): void {
  if (!isGood) throw new Error(otherwise);
}
