// In: VXLAN datagrams of all uplinks, profiles over a control socket. Out: the same packets, later, fewer or not at all, and counts.
// main.ts is the process in the WAN namespace; wan.ts is the emulation itself, pure but for the clock it is given.
// Start reading at wan.ts, then packet.ts (what a packet is taken for) and shaper.ts (bandwidth).
// Counting reads packets, so it is evidence independent of agents and daemons.
// Others import from this file only.
export * from './client.ts';
export * from './packet.ts';
export * from './protocol.ts';
export * from './stall-meter.ts';
export * from './wan.ts';
