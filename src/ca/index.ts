// In: join tokens, certificate requests, revocations. Out: certificates of one day for nodes and the engine's own listener; the CRL.
// An edge: keeps the root's key and the tokens' hashes in one folder. Keys of nodes are made on the nodes and never come here.
// Start reading at authority.ts, then tokens.ts (one use, reuse, holds) and csr.ts (what a request may ask for).
// issue.ts is what a certificate holds; strongSwan must accept it, and test/ca asks its pki.
// Others import from this file only.
export { openAuthority, type Authority, type AuthorityOptions, type NodeCertificate } from './authority.ts';
export { createNodeKey } from './node-key.ts';
export { TOKEN_TTL_MAX_MS, type Hold } from './tokens.ts';
