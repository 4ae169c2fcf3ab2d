import { readFile, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { canonicalJson, digest, ForemeshError, writeFileAtomic } from '../base/index.ts';
import { formatTrailers, type Intent, type LiveTrailers, type Plan, type Verdict } from '../model/index.ts';
import type { CompiledPolicy } from '../policy/index.ts';
import type { DecisionInputs } from './decide.ts';

/** What a commit on mesh/live was computed from. `answer`: a person's revert, where nothing was planned, only rendered. */
export type DecisionRecord =
  | { schema: 'foremesh/record/v1'; kind: 'decision'; inputs: DecisionInputs; verdict: Verdict }
  | { schema: 'foremesh/record/v1'; kind: 'answer'; intent: Intent; plan: Plan; reportText: string };

/** The recorded inputs and the compiled policies, in the engine's state folder; each file is named by its digest. */
export interface RecordStore {
  save(key: string, record: DecisionRecord): Promise<void>;
  load(key: string): Promise<DecisionRecord | null>;
  savePolicy(policy: CompiledPolicy): Promise<void>;
  loadPolicy(policyDigest: string): Promise<CompiledPolicy | null>;
}

/** Where the record of a commit lies: trailers name all inputs by digest, so their own digest names the record. */
export function recordKey(trailers: LiveTrailers): string {
  return digest(formatTrailers(trailers));
}

/** Inputs of so many decisions are kept, some 20 kB each; older commits cannot be replayed any more. */
const INPUTS_KEPT = 10_000;

/**
 * Opens the store under `stateDir`; files are written atomically and fsynced before the promise resolves.
 * @param inputsKept  of so many decisions, the newest; older ones go while new ones are saved
 */
export function openRecordStore(stateDir: string, inputsKept = INPUTS_KEPT): RecordStore {
  let saved = 0;
  const recordFile = (key: string): string => join(stateDir, 'inputs', `${hexOf(key)}.json.gz`);
  const policyFile = (key: string): string => join(stateDir, 'policies', `${hexOf(key)}.json.gz`);
  return {
    async save(key, record) {
      await writeFileAtomic(recordFile(key), pack(record), 0o600);
      if (saved++ % 100 === 0) await removeOldest(join(stateDir, 'inputs'), inputsKept);
    },
    async load(key) {
      const value = await unpack(recordFile(key));
      return value === null ? null : (value as DecisionRecord);
    },
    async savePolicy(policy) {
      const wasm = Buffer.from(policy.wasm).toString('base64');
      await writeFileAtomic(policyFile(policy.digest), pack({ digest: policy.digest, files: policy.files, wasm }), 0o600);
    },
    async loadPolicy(policyDigest) {
      const value = (await unpack(policyFile(policyDigest))) as { digest: string; files: string[]; wasm: string } | null;
      return value === null ? null : { digest: value.digest, files: value.files, wasm: Buffer.from(value.wasm, 'base64') };
    },
  };
}

async function removeOldest(folder: string, kept: number): Promise<void> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.json.gz'));
  if (files.length <= kept) return;
  const dated = await Promise.all(files.map(async (name) => ({ file: join(folder, name), atMs: (await stat(join(folder, name))).mtimeMs })));
  dated.sort((left, right) => right.atMs - left.atMs);
  await Promise.all(dated.slice(kept).map(({ file }) => rm(file, { force: true })));
}

function pack(value: unknown): Buffer {
  return gzipSync(canonicalJson(value));
}

async function unpack(file: string): Promise<unknown> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw cause;
  }
  try {
    return JSON.parse(gunzipSync(bytes).toString('utf8'));
  } catch (cause) {
    throw new ForemeshError('STATE_DAMAGED', { what: `${file} cannot be read`, fix: 'restore the file from a backup; decisions since then are not affected', cause });
  }
}

/** Digests are `sha256:<hex>`; anything else could name a file outside of the folder. */
function hexOf(key: string): string {
  const match = /^sha256:([0-9a-f]{64})$/.exec(key);
  if (!match) throw new ForemeshError('STATE_DAMAGED', { what: 'not a digest where one is needed', fix: 'check the trailers of the commit' });
  return match[1]!;
}
