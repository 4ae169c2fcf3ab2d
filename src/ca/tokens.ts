import { createHash, randomBytes } from 'node:crypto';
import { ForemeshError, readFileIfExists, writeFileAtomic, type Clock } from '../base/index.ts';
import { nodeId, type NodeId } from '../model/index.ts';

/** A join token as it is kept: never the token itself. */
interface TokenRecord {
  sha256: string;
  node: NodeId;
  expiresAt: number;
  usedAt: number | null;
  /** sha256 of the public key that used it, so that a lost answer can be asked for again with the same key. */
  usedBy: string | null;
}

/** A node whose token turned up twice with different keys: somebody else has it. */
export interface Hold {
  node: NodeId;
  heldAt: number;
}

interface TokenState {
  schema: 'foremesh/join-tokens/v1';
  tokens: TokenRecord[];
  held: Hold[];
}

export const TOKEN_TTL_MAX_MS = 900_000;
const TOKEN_TTL_MIN_MS = 1000;
const REMEMBER_MS = 30 * 86_400_000;
const TOKENS_MAX = 10_000;
const FORM = /^[a-z][a-z0-9-]{0,39}\.[0-9a-f]{64}\.[A-Za-z0-9_-]{43}$/;

export interface TokenStore {
  create(node: NodeId, fingerprint: string, ttlMs: number): Promise<string>;
  /** The node a token is for, if it could be used at all now; nothing is written. @throws ForemeshError CA_TOKEN_REFUSED */
  inspect(token: string): Promise<NodeId>;
  /** Uses it up for this public key, on disk before it returns. The same key may come again until the token expires. @throws ForemeshError CA_TOKEN_REFUSED */
  use(token: string, publicKeySha256: string): Promise<NodeId>;
  /** Makes the node's unused tokens worthless. */
  drop(node: NodeId): Promise<void>;
  isHeld(node: NodeId): Promise<boolean>;
  holds(): Promise<Hold[]>;
  lift(node: NodeId): Promise<void>;
}

/** Tokens and holds in one file, replaced as a whole; calls take turns, so two uses of one token cannot both win. */
export function createTokenStore(file: string, clock: Clock): TokenStore {
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(task: () => Promise<T>): Promise<T> => {
    const next = last.then(task, task);
    last = next.catch(() => undefined); // the caller gets the error
    return next;
  };

  async function load(): Promise<TokenState> {
    const text = await readFileIfExists(file);
    if (text === null) return { schema: 'foremesh/join-tokens/v1', tokens: [], held: [] };
    try {
      const state = JSON.parse(text) as TokenState;
      if (state.schema === 'foremesh/join-tokens/v1' && Array.isArray(state.tokens) && Array.isArray(state.held)) return state;
    } catch {
      // told below, together with a file of another form
    }
    throw new ForemeshError('STATE_DAMAGED', { what: `${file} is damaged`, fix: 'remove it: open join tokens are lost then, certificates are not' });
  }

  function save(state: TokenState): Promise<void> {
    const oldest = clock.now() - REMEMBER_MS;
    const tokens = state.tokens.filter(({ expiresAt, usedAt }) => (usedAt ?? expiresAt) > oldest).slice(-TOKENS_MAX);
    return writeFileAtomic(file, `${JSON.stringify({ ...state, tokens }, null, 2)}\n`, 0o600);
  }

  /** The record and what is wrong with using it now; a second use with another key is told apart. */
  function judge(state: TokenState, token: string, publicKeySha256: string | null): { record: TokenRecord; fault: 'reused' | 'held' | 'expired' | null } {
    const sha256 = hashOf(token);
    const record = FORM.test(token) ? state.tokens.find((known) => known.sha256 === sha256) : undefined;
    if (!record) throw refusedToken('it is not known here');
    const isRepeat = record.usedAt !== null && record.usedBy !== publicKeySha256;
    if (isRepeat && publicKeySha256 !== null) return { record, fault: 'reused' };
    if (state.held.some(({ node }) => node === record.node)) return { record, fault: 'held' };
    return { record, fault: record.expiresAt <= clock.now() ? 'expired' : null };
  }

  async function hold(state: TokenState, node: NodeId): Promise<void> {
    if (state.held.some((known) => known.node === node)) return;
    await save({ ...state, held: [...state.held, { node, heldAt: clock.now() }] });
  }

  return {
    create: (node, fingerprint, ttlMs) =>
      inTurn(async () => {
        if (!(ttlMs >= TOKEN_TTL_MIN_MS && ttlMs <= TOKEN_TTL_MAX_MS)) {
          throw new ForemeshError('CA_TOKEN_REFUSED', { what: `a join token cannot be valid for ${ttlMs} ms`, fix: 'choose 1 s to 15 min' });
        }
        const token = `${nodeId(node)}.${fingerprint}.${randomBytes(32).toString('base64url')}`;
        const state = await load();
        const record = { sha256: hashOf(token), node, expiresAt: clock.now() + ttlMs, usedAt: null, usedBy: null };
        await save({ ...state, tokens: [...state.tokens, record] });
        return token;
      }),
    inspect: (token) =>
      inTurn(async () => {
        const { record, fault } = judge(await load(), token, null);
        if (fault !== null) throw refusedToken(WORDS[fault]);
        return record.node;
      }),
    use: (token, publicKeySha256) =>
      inTurn(async () => {
        const state = await load();
        const { record, fault } = judge(state, token, publicKeySha256);
        if (fault === 'reused') await hold(state, record.node);
        if (fault !== null) throw refusedToken(WORDS[fault]);
        const used = { ...record, usedAt: record.usedAt ?? clock.now(), usedBy: publicKeySha256 };
        await save({ ...state, tokens: state.tokens.map((known) => (known === record ? used : known)) });
        return record.node;
      }),
    drop: (node) =>
      inTurn(async () => {
        const state = await load();
        const tokens = state.tokens.filter((record) => record.node !== node || record.usedAt !== null);
        if (tokens.length < state.tokens.length) await save({ ...state, tokens });
      }),
    isHeld: (node) => inTurn(async () => (await load()).held.some((known) => known.node === node)),
    holds: () => inTurn(async () => (await load()).held),
    lift: (node) =>
      inTurn(async () => {
        const state = await load();
        await save({ ...state, held: state.held.filter((known) => known.node !== node) });
      }),
  };
}

const WORDS = {
  reused: 'it was used before with another key; the node is held until an operator lifts that',
  held: 'the node is held because a token of it was used twice; an operator has to lift that',
  expired: 'it has expired',
};

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

function refusedToken(what: string): ForemeshError {
  return new ForemeshError('CA_TOKEN_REFUSED', { what: `the join token is refused: ${what}`, fix: 'make a new one: foremesh join-token NODE' });
}
