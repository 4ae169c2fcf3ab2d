import { createHash } from 'node:crypto';

/** A commit object taken apart, as far as an agent must trust it. */
export interface CommitParts {
  tree: string;
  parents: string[];
  message: string;
  /** When the committer says it was made, epoch ms. */
  committedAt: number;
  /** Armoured SSHSIG; null when the commit is not signed. */
  signature: string | null;
  /** The bytes that were signed: the object without its signature header. */
  payload: Buffer;
}

export interface TreeEntry {
  mode: string;
  sha: string;
}

const ENTRY_COUNT_MAX = 20_000;

/** Git's id (SHA-1) of an object's content. */
export function objectId(type: 'commit' | 'tree' | 'blob', bytes: Uint8Array): string {
  return createHash('sha1').update(`${type} ${bytes.length}\0`).update(bytes).digest('hex');
}

/** The entry of that name in a raw tree object; null when there is none, or more than one, or the bytes are not a tree. */
export function findTreeEntry(tree: Buffer, name: string): TreeEntry | null {
  let found: TreeEntry | null = null;
  let offset = 0;
  for (let count = 0; offset < tree.length; count++) {
    const space = tree.indexOf(0x20, offset);
    const end = space < 0 ? -1 : tree.indexOf(0, space);
    if (end < 0 || end + 21 > tree.length || count >= ENTRY_COUNT_MAX) return null;
    const mode = tree.toString('latin1', offset, space);
    if (!/^[1-7][0-7]{4,5}$/.test(mode)) return null;
    if (tree.toString('latin1', space + 1, end) === name) {
      if (found) return null;
      found = { mode, sha: tree.toString('hex', end + 1, end + 21) };
    }
    offset = end + 21;
  }
  return found;
}

/** The parts of a raw commit object; null unless its headers are exactly those that git writes, in git's order, each in its one form. */
export function parseCommit(bytes: Buffer): CommitParts | null {
  const end = bytes.indexOf('\n\n');
  if (end < 0) return null;
  const lines = bytes.toString('latin1', 0, end).split('\n');
  const person = /^[^\0]* <[^<>\0]*> [0-9]{1,12} [+-][0-9]{4}$/;
  const tree = /^tree ([0-9a-f]{40})$/.exec(lines[0] ?? '')?.[1];
  let at = 1;
  const parents: string[] = [];
  for (let parent = parentOf(lines[at]); parent !== null; parent = parentOf(lines[++at])) parents.push(parent);
  const isOrdinary = lines[at]?.startsWith('author ') && person.test(lines[at]!) && lines[at + 1]?.startsWith('committer ') && person.test(lines[at + 1]!);
  if (tree === undefined || !isOrdinary) return null;
  const committedAt = Number(/> ([0-9]+) /.exec(lines[at + 1]!)?.[1]) * 1000;
  at += 2;
  const signatureLines = lines.slice(at);
  if (signatureLines.length > 0 && !isSignatureHeader(signatureLines)) return null;
  const message = decodeUtf8(bytes.subarray(end + 2));
  if (message === null) return null;
  const signature = signatureLines.length === 0 ? null : `${signatureLines.map((line, index) => line.slice(index === 0 ? 'gpgsig '.length : 1)).join('\n')}\n`;
  const payload = Buffer.concat([Buffer.from(lines.slice(0, at).join('\n'), 'latin1'), bytes.subarray(end)]);
  return { tree, parents, message, committedAt, signature, payload };
}

function parentOf(line: string | undefined): string | null {
  return /^parent ([0-9a-f]{40})$/.exec(line ?? '')?.[1] ?? null;
}

function isSignatureHeader(lines: readonly string[]): boolean {
  const [first = '', ...others] = lines;
  if (first !== 'gpgsig -----BEGIN SSH SIGNATURE-----' || others.at(-1) !== ' -----END SSH SIGNATURE-----') return false;
  return others.slice(0, -1).every((line) => /^ [A-Za-z0-9+/=]{1,100}$/.test(line));
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null; // not UTF-8 is the answer
  }
}
