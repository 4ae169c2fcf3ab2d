// In: a tunnel with its two overlay addresses, a ProbePort, a clock. Out: up, degraded or down, and what was measured.
// Start reading at session.ts (one end of one tunnel and its verdict), then packet.ts (what goes over the wire).
// liveness.ts tells silence, quality.ts and traffic-loss.ts a brown-out from chance, damping.ts keeps a path from flapping;
// turns.ts has the answers travel in probes; peer.ts is the other end's word, window.ts fills the path samples, probe-set.ts keeps one session a tunnel.
// mtu-probe.ts measures the path MTU beside all that, by packets of its own (sized-packet.ts) and mtu-search.ts.
// udp-socket.ts is the real ProbePort; everything else has neither sockets nor a clock of its own.
// Others import from this file only.
export * from './damping.ts';
export * from './mtu-probe.ts';
export * from './mtu-search.ts';
export * from './packet.ts';
export * from './probe-set.ts';
export * from './session.ts';
export * from './session-types.ts';
export * from './sized-packet.ts';
export type { SlaLimits } from './sla.ts';
export * from './udp-socket.ts';
export type { PathWindow } from './window.ts';
