// In: branches already pushed by git. Out: changes (pull requests), reviews, merges, notes, statuses; one port, one folder an adapter.
// An edge. The port holds only what git has not; content, compare-and-swap and signing go through src/git.
// Start reading at port.ts (the ten calls), then local/forge.ts.
// A new forge is a new folder that passes test/forge/contract.ts; nothing else changes.
// Others import from this file only.
export * from './port.ts';
export * from './review.ts';
export * from './local/index.ts';
