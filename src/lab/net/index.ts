// In: an Intent and a lab id. Out: the lab's network namespaces, addresses and links, and what the WAN should feel like.
// layout.ts decides every name and number without touching anything; build.ts makes it so with a few `ip -batch` runs.
// Start reading at layout.ts.
// Gateways get no LAN address here: the agent of the serving gateway owns it.
// Others import from this file only.
export * from './build.ts';
export * from './layout.ts';
export * from './profile.ts';
