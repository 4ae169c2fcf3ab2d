// In: how many trials of which scenario. Out: what each cost in milliseconds and packets, on a real mesh of two sites.
// Start reading at failover.ts; planned.ts lists what must cost nothing, daemon-switch.ts is what one has without agents.
// bench-mesh.ts is that mesh, streams.ts what runs over it, false-failovers.ts counts verdicts on virtual time.
// Figures come from receivers and from the emulated WAN, never from our own agents.
// soak.ts does harm at random moments, round after round.
// agent.ts measures what one agent costs with many tunnels, and how soon they are up; agent-config.ts makes them.
// Others import from this file only.
export { benchFailover, FAILOVER_SCENARIOS, type FailoverBenchOptions, type FailoverBenchResult, type ScenarioName } from './failover.ts';
export { benchAgent, type AgentBenchResult } from './agent.ts';
export { benchSoak, SOAK_VICTIMS, type SoakResult, type SoakVictim } from './soak.ts';
