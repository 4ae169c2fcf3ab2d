// In: a repository's address, commits to make, refs to move. Out: files of a commit, new commits (signed), pushes by compare-and-swap, proofs for agents.
// An edge: spawns git plumbing on our own bare mirror, checks nothing out, and takes plain files only.
// Start reading at repository.ts (the port), then trees.ts (what is read and refused) and push.ts (how refs move).
// Trailers of mesh/live are src/model/live-trailers.ts, since agents read them too; docs/adr/0006 and 0007 say why.
// Others import from this file only.
export { formatTrailers, parseTrailers } from '../model/index.ts';
export type { CommitInfo, CommitSigning } from './commits.ts';
export { initForge } from './forge-repository.ts';
export type { RefUpdate } from './push.ts';
export { openRepository, type CommitOptions, type Repository, type RepositoryOptions } from './repository.ts';
export { allowedSignersLine, ensureSigningKey } from './signing-key.ts';
export type { SourceFile } from '../base/index.ts';
