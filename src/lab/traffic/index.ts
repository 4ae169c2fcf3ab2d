// In: a stream's description. Out: UDP packets between hosts of two sites, and what became of them, read at the receiver.
// One sender and one receiver process a host serve all its streams; packets carry stream, flow, sequence and send time.
// Start reading at client.ts, then stream-count.ts (loss, gaps, order) and pacer.ts (when to send).
// Counting is exact: a packet is lost, duplicated or late by its number, not by an estimate.
// Others import from this file only.
export * from './client.ts';
export * from './pacer.ts';
export * from './protocol.ts';
export * from './stream-count.ts';
export * from './stream-packet.ts';
