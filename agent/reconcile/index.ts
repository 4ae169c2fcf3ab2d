// In: a NodeConfig, what the daemon and the kernel have, what the probes say. Out: ordered actions, done through the ports.
// Start reading at next-actions.ts (pure: wanted and observed to the list of steps), then steering.ts.
// memory.ts keeps what was done and seen; executor.ts runs passes; the fast way for a fail-over is agent/failover; timing.ts has all limits.
// Everything but executor.ts is pure; time is monotonic ms and handed in.
// Others import from this file only.
export * from './executor.ts';
export * from './memory.ts';
export * from './next-actions.ts';
export * from './types.ts';
