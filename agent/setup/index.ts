// In: what an operator types on a gateway. Out: files, modes and units that let the agent run (install); findings (doctor).
// Start reading at install-plan.ts (what is to be on disk, pure) and diagnose.ts (facts to findings, pure).
// install.ts and facts.ts are the edges: they write, and they look. command.ts reads arguments and prints.
// Nothing here runs in the agent itself; nothing here changes forwarding.
// Others import from this file only.
export * from './command.ts';
export * from './diagnose.ts';
export * from './facts.ts';
export * from './install.ts';
export * from './install-plan.ts';
