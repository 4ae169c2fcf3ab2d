// In: an instance id. Out: what the lab of that id consists of (folder, namespaces, processes), and its removal.
// The record is on disk before the thing exists, so whatever a crash leaves can be found and taken away.
// Start reading at record.ts, then clean-up.ts.
// A process is killed only while /proc still shows the start time that was recorded with its pid.
// Others import from this file only.
export * from './clean-up.ts';
export * from './process.ts';
export * from './record.ts';
