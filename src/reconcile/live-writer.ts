import type { NodeId, LiveTrailers, SignedConfig } from '../model/index.ts';
import { formatTrailers, nodeId } from '../model/index.ts';
import { LIVE_REF, type Checkpoint, type EngineDeps } from './deps.ts';
import type { LiveReader, SignedCommit } from './live-state.ts';
import { recordKey, type DecisionRecord, type RecordStore } from './records.ts';

export interface LiveCommit {
  /** Tip of mesh/live this was computed against; null for the first commit. */
  parent: string | null;
  /** Head of the proposal that was approved, as second parent: the forge then sees it as merged. */
  proposalHead: string | null;
  files: Map<string, string>;
  trailers: LiveTrailers;
  /** The whole message for a given block of trailers. */
  message: (trailerText: string) => string;
  /** What it was computed from; null when that was lost (the commit then cannot be replayed). */
  record: DecisionRecord | null;
  now: number;
}

export interface LiveWriter {
  /** Records the inputs, then commits and pushes against `parent`. `moved`: someone was quicker, plan again. */
  write(commit: LiveCommit): Promise<SignedCommit | 'moved'>;
  /** Gives every node its file of this commit, once a process. */
  publish(commit: SignedCommit): Promise<void>;
}

type WriterDeps = Pick<EngineDeps, 'repository' | 'hub' | 'signer' | 'log'>;

/** Writes to mesh/live and hands what is there to the agents. The order is what makes a crash harmless: record, commit, push, remember, publish. */
export function createLiveWriter(deps: WriterDeps, records: RecordStore, reader: LiveReader, checkpoint: (name: Checkpoint) => Promise<void>): LiveWriter {
  let published: string | null = null;

  async function write(commit: LiveCommit): Promise<SignedCommit | 'moved'> {
    if (commit.record) await records.save(recordKey(commit.trailers), commit.record);
    await checkpoint('recorded');
    const parents = [commit.parent, commit.proposalHead].filter((sha) => sha !== null);
    const sha = await deps.repository.commit({
      parents,
      baseTree: commit.parent,
      replace: { folder: 'plan', files: commit.files },
      message: commit.message(formatTrailers(commit.trailers)),
      author: `Foremesh engine <${deps.signer.identity}>`,
      at: commit.now,
    });
    await checkpoint('committed');
    if ((await deps.repository.push([{ ref: LIVE_REF, oldSha: commit.parent, newSha: sha }])) === 'moved') return 'moved';
    await checkpoint('pushed');
    const signed = { sha, generation: commit.trailers.generation, trailers: commit.trailers };
    await reader.remember(signed);
    await checkpoint('remembered');
    deps.log.info({ commit: sha, generation: signed.generation, decision: commit.trailers.decision, cause: commit.trailers.cause }, 'committed to mesh/live');
    return signed;
  }

  async function publish(commit: SignedCommit): Promise<void> {
    if (published === commit.sha) return;
    const configs = new Map<NodeId, SignedConfig>();
    for (const { file } of await deps.repository.readFolder(commit.sha, 'plan/nodes')) {
      const name = /^plan\/nodes\/([^/]+)\.yaml$/.exec(file)?.[1];
      if (name) configs.set(nodeId(name), await deps.repository.prove(commit.sha, nodeId(name)));
    }
    deps.hub.publish(configs);
    published = commit.sha;
    await checkpoint('published');
    deps.log.info({ commit: commit.sha, generation: commit.generation, nodes: configs.size }, 'published');
  }

  return { write, publish };
}
