import { ForemeshError, runGit, runGitBytes, runGitText, type Clock, type Log } from '../../base/index.ts';
import { formatRecord, isRecord, parseRecord, type ChangeRecord } from './record.ts';

const PREFIX = 'refs/mesh/changes/';
const ATTEMPTS_MAX = 12;
const RECORD_BYTES_MAX = 33_554_432;

/** A record with the commit that holds it: what the next step is compared against. */
export interface StoredRecord {
  commit: string;
  record: ChangeRecord;
}

/** More ref moves that must happen together with a record's step, and refs that must stand still. */
export interface Together {
  update?: { ref: string; oldSha: string; newSha: string }[];
  verify?: { ref: string; sha: string }[];
}

/** Records of changes as chains of commits, one ref each; every step is a compare-and-swap. */
export interface RecordStore {
  /** All readable records, newest first; a damaged one is logged and left out. */
  list(): Promise<StoredRecord[]>;
  /** @throws ForemeshError FORGE_CHANGE_UNKNOWN; STATE_DAMAGED when its change.json is not one */
  load(id: number): Promise<StoredRecord>;
  /** One more than the greatest number in use, damaged records included. */
  nextId(): Promise<number>;
  /** Writes the first record of its number; null when another writer took that number. */
  create(record: ChangeRecord): Promise<StoredRecord | null>;
  /** One step of a change: what `step` makes of the newest record is written; null from it: nothing to do. Repeated when another writer was quicker. */
  change(id: number, what: string, step: (record: ChangeRecord) => Promise<ChangeRecord | null> | ChangeRecord | null): Promise<ChangeRecord>;
  /** The step and other ref moves in one transaction; false when any ref was not where it was expected. */
  tryChange(stored: StoredRecord, what: string, next: ChangeRecord, together: Together): Promise<boolean>;
}

export function createRecordStore(gitDir: string, clock: Clock, log: Log): RecordStore {
  async function list(): Promise<StoredRecord[]> {
    const refs = await listRefs();
    const texts = await readRecordFiles(gitDir, refs.map(({ commit }) => commit));
    const stored = refs.flatMap(({ commit, id }, index) => {
      const record = parseRecord(id, texts[index] ?? '');
      if (!record) log.warn({ change: id, commit }, 'the record of a change is damaged and left out');
      return record ? [{ commit, record }] : [];
    });
    return stored.sort((one, other) => other.record.id - one.record.id);
  }

  async function listRefs(): Promise<{ commit: string; id: number }[]> {
    const lines = (await runGitText(gitDir, ['for-each-ref', '--format=%(objectname) %(refname)', PREFIX])).split('\n');
    return lines.flatMap((line) => {
      const match = /^([0-9a-f]{40}) refs\/mesh\/changes\/([1-9][0-9]{0,8})$/.exec(line);
      return match ? [{ commit: match[1]!, id: Number(match[2]) }] : [];
    });
  }

  async function load(id: number): Promise<StoredRecord> {
    const ref = Number.isSafeInteger(id) && id > 0 ? `${PREFIX}${id}` : null;
    const result = ref === null ? null : await runGit(gitDir, ['rev-parse', '--verify', '--quiet', `${ref}^{commit}`]);
    if (!result || result.exitCode !== 0) {
      throw new ForemeshError('FORGE_CHANGE_UNKNOWN', { what: `there is no change ${id}`, fix: 'list the changes; their numbers start at 1' });
    }
    const commit = result.stdout.toString('utf8').trim();
    const record = parseRecord(id, (await readRecordFiles(gitDir, [commit]))[0] ?? '');
    if (record) return { commit, record };
    throw new ForemeshError('STATE_DAMAGED', { what: `change.json of change ${id} is damaged`, fix: `look at git log ${ref} in the forge's repository and set the ref back to the last good commit` });
  }

  async function nextId(): Promise<number> {
    return Math.max(0, ...(await listRefs()).map(({ id }) => id)) + 1;
  }

  async function create(record: ChangeRecord): Promise<StoredRecord | null> {
    const commit = await writeRecord(null, `change ${record.id}: opened`, record);
    return (await transact([`create ${PREFIX}${record.id} ${commit}`])) ? { commit, record } : null;
  }

  async function change(id: number, what: string, step: Parameters<RecordStore['change']>[2]): Promise<ChangeRecord> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const stored = await load(id);
      const next = await step(stored.record);
      if (next === null) return stored.record;
      if (await tryChange(stored, what, next, {})) return next;
    }
    throw new ForemeshError('FORGE_REFUSED', { what: `change ${id} is being written by others all the time`, fix: 'repeat it' });
  }

  async function tryChange(stored: StoredRecord, what: string, next: ChangeRecord, together: Together): Promise<boolean> {
    const commit = await writeRecord(stored.commit, `change ${next.id}: ${what}`, next);
    return transact([
      `update ${PREFIX}${next.id} ${commit} ${stored.commit}`,
      ...(together.update ?? []).map(({ ref, oldSha, newSha }) => `update ${ref} ${newSha} ${oldSha}`),
      ...(together.verify ?? []).map(({ ref, sha }) => `verify ${ref} ${sha}`),
    ]);
  }

  async function writeRecord(parent: string | null, message: string, record: ChangeRecord): Promise<string> {
    if (!isRecord(record)) {
      throw new ForemeshError('FORGE_REFUSED', { what: `change ${record.id} would not be a valid record: too long or too many parts`, fix: 'shorten title, body or note' });
    }
    const blob = await runGitText(gitDir, ['hash-object', '-w', '--stdin'], { stdin: formatRecord(record) });
    const tree = await runGitText(gitDir, ['mktree'], { stdin: `100644 blob ${blob}\tchange.json\n` });
    const date = `${Math.floor(clock.now() / 1000)} +0000`;
    const person = { NAME: 'Foremesh forge', EMAIL: 'forge@foremesh', DATE: date };
    const env = Object.fromEntries(['AUTHOR', 'COMMITTER'].flatMap((role) => Object.entries(person).map(([part, value]) => [`GIT_${role}_${part}`, value])));
    return runGitText(gitDir, ['commit-tree', ...(parent ? ['-p', parent] : []), tree], { env, stdin: `${message}\n` });
  }

  /** All or nothing; false when a ref was not where it was expected or is locked by another writer. */
  async function transact(lines: readonly string[]): Promise<boolean> {
    const stdin = `${['start', ...lines, 'prepare', 'commit'].join('\n')}\n`;
    const result = await runGit(gitDir, ['update-ref', '--no-deref', '--stdin'], { stdin });
    if (result.exitCode === 0) return true;
    if (/cannot lock ref|is at [0-9a-f]+ but expected|reference already exists|unable to resolve reference/i.test(result.stderr)) return false;
    throw new ForemeshError('GIT_FAILED', { what: `git update-ref failed: ${result.stderr.trim().slice(-300)}`, fix: `see that ${gitDir} is healthy and its disk not full` });
  }

  return { list, load, nextId, create, change, tryChange };
}


async function readRecordFiles(gitDir: string, commits: readonly string[]): Promise<(string | null)[]> {
  if (commits.length === 0) return [];
  const output = await runGitBytes(gitDir, ['cat-file', '--batch'], { stdin: commits.map((commit) => `${commit}:change.json\n`).join('') });
  let offset = 0;
  return commits.map(() => {
    const end = output.indexOf(10, offset);
    const [, type, size] = /^[0-9a-f]{40} (\w+) ([0-9]+)$/.exec(output.toString('latin1', offset, end)) ?? [];
    const start = end + 1;
    offset = type === undefined ? start : start + Number(size) + 1;
    return type === 'blob' && Number(size) <= RECORD_BYTES_MAX ? output.toString('utf8', start, offset - 1) : null;
  });
}
