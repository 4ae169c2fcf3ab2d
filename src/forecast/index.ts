// In: the history of demands and an Observation of the recent past. Out: a Forecast, the prioritised list of demands with quantiles.
// One port for all models (matrix/matrix-model.ts); they compete for each kind of pairs and distance on held-out history (contest.ts).
// Start reading at forecaster.ts (the port), then inline-forecaster.ts, train-models.ts and forecast-slots.ts; trees are in boosting/, a network in network/.
// The bench on tables of demands is in matrix/: start at matrix/bench.ts. Planned events of the intent become inputs and corrections in events/.
// Surges, drops, new pairs and fan-outs are told by anomaly/: start at anomaly/detector.ts. How forecasts fare once their slots have come: live/.
// Forecasts of paths (will latency, jitter or loss break a class's bounds?) are in paths/: start at paths/path-forecaster.ts, then paths/contest.ts.
// Pure computation but for registry.ts (a folder) and worker-forecaster.ts (threads). Time and seed are arguments.
// Others import from this file only.
export { createForecaster } from './worker-forecaster.ts';
export { createInlineForecaster } from './inline-forecaster.ts';
export { prioritiseDemands } from './demand-priority.ts';
export { generateHistory, type HistoryOptions } from './history.ts';
export { Scoreboard, type BoardDay, type BoardRow, type ScoreboardState } from './live/scoreboard.ts';
export { MODEL_NAMES, type Effort, type Forecaster, type ForecasterOptions, type ModelName, type TrainingProgress, type TrainingResult, type TrainingTask } from './forecaster.ts';
export { worthLearning, type CovariateSeries } from './covariates.ts';
export { pathInputs, type WayFigures } from './path-covariates.ts';
export { scaleToObserved } from './join-observation.ts';
export type { ModelFileHeader } from './model-file.ts';
export { openModelRegistry, type ModelRegistry, type RegisteredModel, type RegistryView } from './registry.ts';
export { adjustForEvents } from './events/adjust-for-events.ts';
export { eventCovariates, eventsInSlots, type EventCovariate, type EventSeries } from './events/events-in-slots.ts';
export { explainForecast, pastOf, type BandReasons, type EventMark, type ForecastExplanation, type ForecastPart, type ForecastRecord, type PartName, type PastSlot } from './explain/explain-forecast.ts';
export { PARTS_OF_PAST, pastsByPart, type Past } from './explain/parts-of-past.ts';
export { readTraffic, type TrafficSource } from './matrix/read-traffic.ts';
export type { DemandMatrix } from './matrix/demand-matrix.ts';
export { createBenchReport } from './report/bench-report.ts';
export { renderEngineReport, type EngineReportInputs } from './report/engine-report.ts';
export { benchForecast, BENCH_MODELS, type ForecastBenchOptions, type ForecastBenchResult } from './matrix/bench.ts';
export { forecastReplay, type ReplayForecasts, type ReplayModel, type ReplayOptions, type ReplaySpan } from './matrix/replay-forecasts.ts';
export { createAnomalyDetector, type AnomalyDetector, type AnomalySlot } from './anomaly/detector.ts';
export { ANOMALY_MIN_MBPS, anomalyWindows, DAYS_PER_ALARM, type AnomalySettings } from './anomaly/settings.ts';
export { benchAnomalies, type AnomalyBenchResult, type DetectionScore } from './anomaly/bench.ts';
export { createPathForecaster, type PathForecaster } from './paths/path-forecaster.ts';
export { PathRecord } from './paths/path-record.ts';
export type { PathTable } from './paths/path-table.ts';
export { generatePaths } from './paths/generate-paths.ts';
export { readPaths, type PathSource } from './paths/read-paths.ts';
export { benchPaths, type OnsetScore, type PathBenchOptions, type PathBenchResult, type PathBenchSet, type ScenarioScore, type Skills } from './paths/bench-paths.ts';
export type { ProbabilityScore } from './paths/score.ts';
