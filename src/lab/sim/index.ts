// In: an Intent, a forge, a seed. Out: a `World` in one process on virtual time, with the real engine and the real agents.
// What is simulated: the underlay (wan.ts), IKE daemon (daemon.ts) and kernel (kernel.ts) of each gateway, hosts (traffic.ts), the channel (messages.ts).
// Start reading at sim-world.ts, then gateway.ts, whose ports stand behind agent/ports.ts.
// The same seed gives the same run; nothing here needs root or a network.
// Others import from this file only.
export { createSimWorld, type SimWorld, type SimWorldOptions } from './sim-world.ts';
export { SIM_ENGINE_IDENTITY } from './engine.ts';
export { SimGateway } from './gateway.ts';
export type { HostPacket } from './kernel.ts';
export { SimWan } from './wan.ts';
