// In: DataplaneWanted, the whole wanted state of one node. Out: what was changed in the kernel, and its counters.
// The only place with the kernel's own words: nftables, VXLAN, ip rules, routes, sysctls.
// Start reading at port.ts (the order of things), then changes.ts (wanted and observed to commands), ruleset.ts (nft; ruleset-text.ts: how it takes over), machine.ts (the edge).
// changes, ruleset, ruleset-text, check, mtu and names are pure; a driver (driver.ts) is one file: libipsec-link.ts, xfrm-link.ts.
// Others import from this file only.
export * from './answers.ts';
export * from './buckets.ts';
export * from './changes.ts';
export * from './check.ts';
export * from './commands.ts';
export * from './copies.ts';
export * from './driver.ts';
export * from './lane-writer.ts';
export * from './machine.ts';
export * from './mtu.ts';
export * from './names.ts';
export * from './observe.ts';
export * from './ping.ts';
export * from './port.ts';
export * from './ruleset.ts';
export * from './ruleset-text.ts';
export * from './services.ts';
export * from './shaping.ts';
export * from './traffic-counter.ts';
export * from './users.ts';
export { canMakeXfrmInterface } from './xfrm-link.ts';
