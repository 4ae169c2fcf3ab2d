// In: how a site's gateways share its LAN address, how many sites this one reaches. Out: the address taken or given up.
// Start reading at election.ts (pure: what is known to whose it is), then standby.ts (heartbeats, the kernel's address).
// seat.ts makes it so, partner.ts keeps what was heard, words.ts is what a heartbeat says; session.ts is why nobody else on the
// LAN can say a word in it; lan-port.ts has the kernel's socket and addresses.
// thread.ts runs it in the thread of probes and fail-over; serve.ts is that thread's side. The simulated network runs it without one.
// Others import from this file only.
export * from './election.ts';
export * from './standby.ts';
export * from './thread.ts';
