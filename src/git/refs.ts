import { ForemeshError } from '../base/index.ts';

const SHA = /^[0-9a-f]{40}$/;
/** Branches that are rebuilt on the newest base, so they may be replaced; every other branch only moves forward. */
export const PROPOSAL_BRANCHES = 'refs/heads/mesh/plan/';

/** What `resolve` understands: a name, and how many first parents to go back from it. */
export interface Revision {
  name: string;
  back: number;
}

export function isSha(text: string): boolean {
  return SHA.test(text);
}

/** The same text. @throws ForemeshError GIT_REF_REFUSED when it is not a full commit or object id */
export function checkSha(text: string): string {
  if (!isSha(text)) throw refusedRef(text, 'use a full commit id (40 hex digits)');
  return text;
}

/** The same text. @throws ForemeshError GIT_REF_REFUSED when it is not a full name under refs/heads/ or refs/mesh/ */
export function checkRef(ref: string): string {
  if (!/^refs\/(?:heads|mesh)\/./.test(ref)) throw refusedRef(ref, 'use a full name under refs/heads/ or refs/mesh/');
  if (!isRefName(ref)) throw refusedRef(ref, 'use letters, digits and . _ / - only, no part that begins with - or a dot');
  return ref;
}

/** Splits `name`, `name^`, `name~3`. @throws ForemeshError GIT_REF_REFUSED for anything git could read as an option or a range */
export function parseRevision(text: string): Revision {
  const match = /^(?<name>[^~^]+)(?<back>(?:\^|~[0-9]{1,6})*)$/.exec(text);
  const name = match?.groups?.['name'];
  if (!name || !isRefName(name)) throw refusedRef(text, 'use a branch name, a full ref or a commit id, with ~N for an older one');
  const steps = match.groups?.['back']?.match(/\^|~[0-9]+/g) ?? [];
  return { name, back: steps.reduce((sum, step) => sum + (step === '^' ? 1 : Number(step.slice(1))), 0) };
}

/**
 * The same URL: `https:`, `http:`, `ssh:`, `file:`, an absolute path, or `user@host:path`.
 * @throws ForemeshError GIT_REF_REFUSED for options, helpers (`ext::`) and passwords, which would show in the process list
 */
export function checkRemote(remote: string): string {
  const refuse = (fix: string): ForemeshError =>
    new ForemeshError('GIT_REF_REFUSED', { what: 'the address of the repository is not acceptable', fix });
  if (remote.length > 2000 || remote.startsWith('-') || remote.includes('::') || /\p{Cc}/u.test(remote)) {
    throw refuse('use https://, ssh://, file:// or an absolute path; no helper (::) and no leading -');
  }
  if (/^https?:\/\/[^/]*@/.test(remote)) throw refuse('take user and password out of the URL; give them by a credential helper');
  const isKnown = remote.startsWith('/') || /^(?:https?|ssh|file):\/\/[A-Za-z0-9/[]/.test(remote) || /^[\w.-]+@[A-Za-z0-9][\w.-]*:[^-]/.test(remote);
  if (!isKnown) throw refuse('use https://, ssh://, file://, user@host:path or an absolute path');
  return remote;
}

/** Stricter than git check-ref-format: also no part that could be read as an option. */
function isRefName(name: string): boolean {
  if (name.length > 250 || name.endsWith('.lock') || name.endsWith('.')) return false;
  return name.split('/').every((part) => /^[A-Za-z0-9_+][A-Za-z0-9._+@=-]*$/.test(part) && !part.includes('..') && !part.endsWith('.lock'));
}

function refusedRef(ref: string, fix: string): ForemeshError {
  return new ForemeshError('GIT_REF_REFUSED', { what: `${JSON.stringify(ref.slice(0, 100))} is not an acceptable ref`, fix });
}
