// In: base. Out: the nouns of Foremesh: ids, intent, telemetry, forecast, plan, change, node config, channel messages.
// Read this first: everything else turns one of these nouns into another.
// Start reading at intent.ts, then plan.ts, then node-config.ts.
// Nouns are immutable; stages meet here and never in each other.
// Others import from this file only.
export * from './anomaly.ts';
export * from './certificate-words.ts';
export * from './change.ts';
export * from './day-curve.ts';
export * from './forecast.ts';
export * from './hindsight.ts';
export * from './ids.ts';
export * from './ike-identity.ts';
export * from './intent.ts';
export * from './live-trailers.ts';
export * from './messages.ts';
export * from './name-pattern.ts';
export * from './node-config.ts';
export * from './path-forecast.ts';
export * from './plan.ts';
export * from './planned-event.ts';
export * from './sample-coding.ts';
export * from './telemetry.ts';
export * from './trust.ts';
