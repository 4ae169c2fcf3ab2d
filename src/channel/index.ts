// In: agents' connections and messages, and the configs to publish. Out: samples into the store, statuses, events, configs to agents.
// hub.ts knows no transport (the simulated network uses it as it is); listen.ts is HTTPS and WebSocket with mutual TLS.
// Start reading at hub.ts, then session.ts (one agent's socket) and http.ts (enrolment).
// Edges: listen.ts, session.ts, http.ts. An ack is sent only when the store has the batch.
// Others import from this file only.
export { createAgentHub, type AgentConnection, type AgentHub, type AgentHubDeps, type SampleSink } from './hub.ts';
export type { ChannelAuthority } from './http.ts';
export { listenChannel, type ChannelListener, type ListenOptions } from './listen.ts';
export { createFrameReader, type FrameReader } from './frame-reader.ts';
export type { ChannelCounters } from './session.ts';
