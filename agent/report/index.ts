// In: kernel counters, probe windows, the config. Out: batches of samples to the engine, kept on disk until it has them.
// Start reading at reporter.ts (the beat, sending, confirming), then readings.ts (pure: two readings make samples).
// outbox.ts is the port with an outbox in memory, outbox-file.ts the one on disk that survives kill -9.
// Effects: outbox-file.ts writes files; all timing is by the injected clock.
// Others import from this file only.
export * from './outbox.ts';
export * from './outbox-file.ts';
export * from './readings.ts';
export * from './reporter.ts';
export * from './services.ts';
