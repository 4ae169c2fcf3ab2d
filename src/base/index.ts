// In: nothing of ours. Out: clock, seeded random, errors, units, IP ranges, canonical JSON, atomic files, commands, hardened git, SSH signatures, log.
// Knows nothing about meshes; everything else may import it.
// Start reading at errors.ts (what an error of ours carries), then clock.ts.
// Pure but for clock.ts's systemClock, files.ts, command.ts, command-helper.ts, git-command.ts, ssh-signature.ts and log.ts, which are edges.
// Others import from this file only.
export * from './anchored-clock.ts';
export * from './canonical.ts';
export * from './clock.ts';
export * from './command.ts';
export * from './common-js.ts';
export { endCommandHelper, keepCommandHelper } from './command-helper.ts';
export * from './error-codes.ts';
export * from './errors.ts';
export * from './files.ts';
export * from './git-command.ts';
export * from './ip.ts';
export * from './json-place.ts';
export * from './log.ts';
export * from './random.ts';
export * from './ssh-signature.ts';
export * from './source-files.ts';
export * from './text-positions.ts';
export * from './units.ts';
export * from './wall-clock.ts';
