import { createDecipheriv, hkdfSync } from 'node:crypto';
import { join } from 'node:path';
import { type Cancel, type Clock, type Log, messageOf, readFileIfExists, writeFileAtomic } from '../../src/base/index.ts';
import type { NodeId } from '../../src/model/index.ts';
import type { Ppk } from '../ports.ts';

export interface PpkKeeperDeps {
  stateDir: string;
  node: NodeId;
  /** Asks the engine for the key with a peer. */
  fetch: (peer: NodeId) => Promise<string>;
  clock: Clock;
  log: Log;
}

/** The post-quantum keys of this node: fetched once, kept in the state folder (0600), used without the engine from then on. */
export interface PpkKeeper {
  start(): Promise<void>;
  keys(): ReadonlyMap<NodeId, Ppk>;
  /** These peers' keys are needed; `onChange` is called for what had to be fetched first. */
  want(peers: readonly NodeId[]): void;
  /** These peers come back, if at all, with another key. */
  forget(peers: readonly NodeId[]): Promise<void>;
  onChange(listener: () => void): void;
  stop(): void;
}

/** File of the node's seal, which came with its join token and never goes over the wire. */
export const SEAL_FILE = 'seal.key';
const KEYS_FILE = 'ppks.json';
const INFO = 'foremesh ppk seal v1';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 60_000;

export function createPpkKeeper(deps: PpkKeeperDeps): PpkKeeper {
  const { stateDir, node, clock, log } = deps;
  const keys = new Map<NodeId, Ppk>();
  const wanted = new Set<NodeId>();
  let listener: () => void = () => undefined;
  let cancelRetry: Cancel = () => undefined;
  let tries = 0;
  let isStopped = false;
  let last: Promise<void> = Promise.resolve();

  async function fetchMissing(): Promise<void> {
    const missing = [...wanted].filter((peer) => !keys.has(peer));
    if (missing.length === 0 || isStopped) return;
    try {
      for (const peer of missing) keys.set(peer, await fetchOne(peer));
      tries = 0;
      await save();
      listener();
    } catch (cause) {
      log.warn({ peers: missing.length, error: messageOf(cause) }, 'post-quantum keys could not be fetched yet; their tunnels wait');
      cancelRetry();
      cancelRetry = clock.setTimer(Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(tries++, 10)), () => queue(fetchMissing));
    }
  }

  async function fetchOne(peer: NodeId): Promise<Ppk> {
    const seal = (await readFileIfExists(join(stateDir, SEAL_FILE)))?.trim();
    if (!seal) throw new Error('this node has no seal: enrol it again with a new join token');
    const { id, sealed } = JSON.parse(await deps.fetch(peer)) as { id?: unknown; sealed?: unknown };
    if (typeof id !== 'string' || !/^[a-z0-9-]{1,60}$/.test(id) || typeof sealed !== 'string') throw new Error('the engine’s answer is no key');
    return { id, secret: open(seal, `${node} ${id}`, sealed).toString('base64') };
  }

  function save(): Promise<void> {
    return writeFileAtomic(join(stateDir, KEYS_FILE), `${JSON.stringify({ schema: 'foremesh/node-ppks/v1', keys: [...keys] })}\n`, 0o600);
  }

  function queue(task: () => Promise<void>): void {
    last = last.then(task);
  }

  return {
    async start() {
      const text = await readFileIfExists(join(stateDir, KEYS_FILE));
      if (text === null) return;
      try {
        const kept = JSON.parse(text) as { keys: [NodeId, Ppk][] };
        for (const [peer, key] of kept.keys) keys.set(peer, { id: key.id, secret: key.secret });
      } catch {
        log.error('STATE_DAMAGED: the kept post-quantum keys cannot be read; they are fetched again'); // without the parser's words, which quote them
      }
    },
    keys: () => keys,
    want(peers) {
      for (const peer of peers) wanted.add(peer);
      if (peers.some((peer) => !keys.has(peer))) queue(fetchMissing);
    },
    async forget(peers) {
      const found = peers.filter((peer) => keys.delete(peer));
      if (found.length === 0) return;
      await save();
      listener();
      queue(fetchMissing);
    },
    onChange(next) {
      listener = next;
    },
    stop() {
      isStopped = true;
      cancelRetry();
    },
  };
}

/** @throws Error when it was not closed with this seal, for this node, under this id */
function open(seal: string, context: string, sealed: string): Buffer {
  const bytes = Buffer.from(sealed, 'base64');
  if (bytes.length !== NONCE_BYTES + KEY_BYTES + TAG_BYTES) throw new Error('the sealed key is torn');
  const key = Buffer.from(hkdfSync('sha256', Buffer.from(seal, 'base64url'), Buffer.alloc(0), INFO, KEY_BYTES));
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES)).setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
}
