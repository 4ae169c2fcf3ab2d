// In: a unix socket file and named calls. Out: their answers, one JSON line each way.
// How the lab talks to its own processes (relay, senders, receivers), also from another process than the one that started them.
// Start reading at serve.ts, then call.ts.
// A call is one connection, so a client that dies leaves nothing half done.
// Others import from this file only.
export * from './call.ts';
export * from './serve.ts';
