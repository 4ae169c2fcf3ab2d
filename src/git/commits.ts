import { ForemeshError, isSshIdentity, runGit, runGitBytes, runGitText } from '../base/index.ts';
import { parseTrailers, type LiveTrailers } from '../model/index.ts';
import { checkSha } from './refs.ts';

export interface CommitInfo {
  sha: string;
  parents: string[];
  tree: string;
  /** `Name <address>`. */
  author: string;
  /** Committer's time, epoch ms (whole seconds). */
  at: number;
  subject: string;
  body: string;
  /** Null for commits of people: no trailers, or not exactly ours. */
  trailers: LiveTrailers | null;
}

/** The key that signs our commits, and the principal under which `allowed_signers` lists it. */
export interface CommitSigning {
  privateKeyFile: string;
  identity: string;
}

export interface NewCommit {
  tree: string;
  parents: readonly string[];
  message: string;
  /** `Name <address>`. */
  author: string;
  /** Author's and committer's time, epoch ms; git keeps whole seconds. */
  at: number;
}

/**
 * Writes a commit object and gives its id; moves no ref. With `signing` it is signed by SSH and the committer is the signing
 * identity, which `verifyCommit` asks for. Ed25519 signatures are deterministic: the same arguments give the same id.
 */
export async function writeCommit(gitDir: string, commit: NewCommit, signing: CommitSigning | null): Promise<string> {
  const author = parsePerson(commit.author);
  if (signing && !isSshIdentity(signing.identity)) throw refusedPerson(signing.identity);
  const date = `${Math.floor(commit.at / 1000)} +0000`;
  const env = {
    GIT_AUTHOR_NAME: author.name,
    GIT_AUTHOR_EMAIL: author.address,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: author.name,
    GIT_COMMITTER_EMAIL: signing ? signing.identity : author.address,
    GIT_COMMITTER_DATE: date,
  };
  const config = signing ? ['gpg.format=ssh', `user.signingkey=${signing.privateKeyFile}`] : [];
  const parents = commit.parents.flatMap((parent) => ['-p', checkSha(parent)]);
  const args = ['commit-tree', ...parents, ...(signing ? ['-S'] : []), checkSha(commit.tree)];
  return runGitText(gitDir, args, { env, config, stdin: commit.message });
}

/** Commits of the first-parent line, newest first: `to` down to, and without, `from` and its ancestors. */
export async function readLog(gitDir: string, from: string | null, to: string): Promise<CommitInfo[]> {
  const format = ['%H', '%P', '%T', '%an <%ae>', '%ct', '%s', '%b'].join('%x00');
  const range = [checkSha(to), ...(from === null ? [] : [`^${checkSha(from)}`])];
  const output = await runGitBytes(gitDir, ['log', '-z', '--first-parent', '--no-mailmap', '--encoding=UTF-8', `--format=tformat:${format}`, ...range, '--']);
  const fields = output.toString('utf8').split('\0');
  const commits: CommitInfo[] = [];
  for (let index = 0; index + 7 <= fields.length - 1; index += 7) {
    const [sha, parents, tree, author, seconds, subject, body] = fields.slice(index, index + 7) as [string, string, string, string, string, string, string];
    commits.push({
      sha,
      parents: parents.split(' ').filter((parent) => parent !== ''),
      tree,
      author,
      at: Number(seconds) * 1000,
      subject,
      body,
      trailers: parseTrailers(body),
    });
  }
  return commits;
}

/**
 * Who signed the commit, by the key's principal in an `allowed_signers` file; null when it is not signed, by nobody listed,
 * by an expired or revoked key, or when the committer's address is not the signer's principal (git alone would accept that).
 */
export async function verifyCommit(gitDir: string, commit: string, allowedSignersFile: string): Promise<{ signer: string } | null> {
  const config = ['gpg.format=ssh', `gpg.ssh.allowedSignersFile=${allowedSignersFile}`];
  const result = await runGit(gitDir, ['log', '-1', '--no-mailmap', '--format=%G?%x00%GS%x00%ce', checkSha(commit), '--'], { config });
  if (result.exitCode !== 0) return null;
  const [trust, signer, committer] = result.stdout.toString('utf8').replace(/\n$/, '').split('\0');
  return trust === 'G' && signer !== undefined && signer !== '' && signer === committer ? { signer } : null;
}

function parsePerson(author: string): { name: string; address: string } {
  const match = /^(?<name>[^<>\p{Cc}]{1,100}) <(?<address>[^<>\s\p{Cc}]{1,200})>$/u.exec(author);
  if (!match?.groups) throw refusedPerson(author);
  return { name: match.groups['name']!, address: match.groups['address']! };
}

function refusedPerson(text: string): ForemeshError {
  return new ForemeshError('GIT_REF_REFUSED', { what: `${JSON.stringify(text.slice(0, 100))} cannot be the author of a commit`, fix: 'use the form Name <address>' });
}
