// In: ConnectionSpec, Credentials and tunnel ids. Out: `IpsecPort` over strongSwan's VICI socket.
// The only place with strongSwan's own words: proposals, conns, dpd; our crypto suites are translated in suites.ts.
// Start reading at ipsec-port.ts, then client.ts (staying connected), connection.ts (one socket), codec.ts (the bytes).
// Effects: one Unix socket. Time is injected; codec, packets, suites, connections and sas are pure.
// Others import from this file only.
export * from './client.ts';
export * from './codec.ts';
export * from './connection.ts';
export * from './connections.ts';
export * from './daemon-facts.ts';
export * from './ipsec-port.ts';
export * from './packets.ts';
export * from './sas.ts';
export * from './suites.ts';
