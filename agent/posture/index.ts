// In: /proc of the gateway. Out: how busy it is: processor, memory, and what agent and IKE daemon take of them.
// Start reading at host-reading.ts (what is read), then proc-host.ts (the edge), proc-text.ts (pure: texts to figures).
// Nothing here says who talks to whom: the number of tracked connections is read only where the mesh permits it.
// Effects: proc-host.ts reads files of /proc.
// Others import from this file only.
export * from './host-reading.ts';
export { createProcHost } from './proc-host.ts';
