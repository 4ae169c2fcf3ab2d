import { createCipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { ForemeshError, readFileIfExists, writeFileAtomic, type Clock } from '../base/index.ts';
import type { NodeId } from '../model/index.ts';

/** A post-quantum pre-shared key (RFC 8784) of two nodes, closed with the asking node's seal. */
export interface SealedPpk {
  /** Its name in IKE; another one for every new secret. */
  id: string;
  /** AES-256-GCM over the 32 bytes: nonce (12), ciphertext, tag (16); base64. The additional data is `<node> <id>`. */
  sealed: string;
}

interface PpkState {
  schema: 'foremesh/ppks/v1';
  /** Seals of join tokens that were not used yet, by the token's sha256. */
  pending: { tokenSha256: string; node: NodeId; seal: string; expiresAt: number }[];
  seals: { node: NodeId; seal: string }[];
  secrets: { nodes: [NodeId, NodeId]; number: number; secret: string }[];
  /** Counts all secrets ever made, so that no id comes twice. */
  made: number;
}

const SECRET_BYTES = 32;
const NONCE_BYTES = 12;
const INFO = 'foremesh ppk seal v1';

/** Seals and secrets; never in Git, a log or an answer but closed. */
export interface PpkStore {
  /** The seal that goes with a new join token: travels with it out of band, never over the wire. Base64url, 32 bytes. */
  createSeal(node: NodeId, tokenSha256: string, ttlMs: number): Promise<string>;
  /** The token was used: its seal is the node's from now on. */
  takeSeal(tokenSha256: string): Promise<void>;
  /** The pair's key for this node, made on first use. @throws ForemeshError CA_PPK_UNAVAILABLE without a seal */
  keyFor(node: NodeId, peer: NodeId): Promise<SealedPpk>;
  /** The node is out of the mesh: its seal and its keys are worthless. */
  forget(node: NodeId): Promise<void>;
}

/** One file, replaced as a whole; calls take turns. */
export function createPpkStore(file: string, clock: Clock): PpkStore {
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(task: () => Promise<T>): Promise<T> => {
    const next = last.then(task, task);
    last = next.catch(() => undefined); // the caller gets the error
    return next;
  };
  const save = (state: PpkState): Promise<void> => writeFileAtomic(file, `${JSON.stringify(state)}\n`, 0o600);

  return {
    createSeal: (node, tokenSha256, ttlMs) =>
      inTurn(async () => {
        const state = await load(file);
        const seal = randomBytes(SECRET_BYTES).toString('base64url');
        const pending = [...state.pending.filter(({ expiresAt }) => expiresAt > clock.now()), { tokenSha256, node, seal, expiresAt: clock.now() + ttlMs }];
        await save({ ...state, pending });
        return seal;
      }),
    takeSeal: (tokenSha256) =>
      inTurn(async () => {
        const state = await load(file);
        const found = state.pending.find((entry) => entry.tokenSha256 === tokenSha256);
        if (!found) return; // an older engine's token, or one whose first answer got lost
        const seals = [...state.seals.filter(({ node }) => node !== found.node), { node: found.node, seal: found.seal }];
        await save({ ...state, seals, pending: state.pending.filter((entry) => entry !== found) });
      }),
    keyFor: (node, peer) =>
      inTurn(async () => {
        const state = await load(file);
        const seal = state.seals.find((entry) => entry.node === node)?.seal;
        if (seal === undefined || node === peer) throw new ForemeshError('CA_PPK_UNAVAILABLE', { what: `${node} joined without a seal for post-quantum keys`, fix: 'enrol it again with a new join token of this version' });
        const nodes = [node, peer].sort() as [NodeId, NodeId];
        const known = state.secrets.find((entry) => entry.nodes.join(' ') === nodes.join(' '));
        const entry = known ?? { nodes, number: state.made + 1, secret: randomBytes(SECRET_BYTES).toString('base64') };
        if (!known) await save({ ...state, made: entry.number, secrets: [...state.secrets, entry] });
        const id = `foremesh-ppk-${entry.number}`;
        return { id, sealed: sealWith(seal, `${node} ${id}`, Buffer.from(entry.secret, 'base64')) };
      }),
    forget: (node) =>
      inTurn(async () => {
        const state = await load(file);
        const seals = state.seals.filter((entry) => entry.node !== node);
        const secrets = state.secrets.filter(({ nodes }) => !nodes.includes(node));
        const pending = state.pending.filter((entry) => entry.node !== node);
        if (seals.length + secrets.length + pending.length < state.seals.length + state.secrets.length + state.pending.length) await save({ ...state, seals, secrets, pending });
      }),
  };
}

function sealWith(seal: string, context: string, secret: Buffer): string {
  const nonce = randomBytes(NONCE_BYTES);
  const key = Buffer.from(hkdfSync('sha256', Buffer.from(seal, 'base64url'), Buffer.alloc(0), INFO, SECRET_BYTES));
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]).toString('base64');
}

async function load(file: string): Promise<PpkState> {
  const text = await readFileIfExists(file);
  if (text === null) return { schema: 'foremesh/ppks/v1', pending: [], seals: [], secrets: [], made: 0 };
  try {
    const state = JSON.parse(text) as PpkState;
    if (state.schema === 'foremesh/ppks/v1' && Array.isArray(state.seals) && Array.isArray(state.secrets)) return state;
  } catch {
    // told below; the cause could quote a secret
  }
  throw new ForemeshError('STATE_DAMAGED', { what: `${file} is damaged`, fix: 'restore it from a backup; without it nodes have to be enrolled again for post-quantum keys' });
}
