// In: tunnels to probe, the lanes that the kernel has. Out: verdicts on paths, and lanes pointed at tunnels that answer.
// Start reading at failover.ts (verdict to switched lane, in one turn), then lanes.ts (which tunnel a lane should use).
// thread.ts runs the same in a thread of its own, so that nothing else the agent does can hold up a probe or a switch;
// worker.ts is that thread's side and messages.ts what they say to each other. The simulated network runs it without one.
// Others import from this file only.
export * from './failover.ts';
export * from './health.ts';
export * from './lanes.ts';
export * from './thread.ts';
