import { join } from 'node:path';
import { type Cancel, type Clock, type Log, messageOf, readFileIfExists, writeFileAtomic } from '../../src/base/index.ts';
import type { NodeId, RevocationsMessage } from '../../src/model/index.ts';
import type { IpsecPort } from '../ports.ts';
import { isCrlSigned } from './der.ts';

export interface RevocationGuardDeps {
  stateDir: string;
  ipsec: Pick<IpsecPort, 'loadRevocations' | 'terminatePeers'>;
  caPem: () => string;
  /** Nodes that were revoked just now. */
  onRevoked?: (nodes: readonly NodeId[]) => Promise<void>;
  clock: Clock;
  log: Log;
}

/** Keeps revoked nodes out of this one, with or without the engine. */
export interface RevocationGuard {
  /** What was known when the agent ended is in force again; before any tunnel is brought up. */
  start(): Promise<void>;
  /** A list from the engine: kept on disk, given to the daemon, and SAs with nodes that are new on it ended. One that is older or not signed by our CA is refused. */
  receive(message: RevocationsMessage): Promise<void>;
  /** Revoked keys of these nodes, sha256 of SPKI in DER, hex. */
  keysOf(nodes: readonly NodeId[]): string[];
  stop(): void;
}

/** What is on disk. `enforced`: up to this number SAs were ended; a higher `number` has that still to come. */
interface Kept {
  schema: 'foremesh/node-revocations/v1';
  enforced: number;
  message: RevocationsMessage;
}

const FILE = 'revocations.json';
/** The daemon may be away; until it has the list, this is the time between tries, ms. */
const RETRY_MS = 500;
const REVOKED_MAX = 100_000;

export function createRevocationGuard(deps: RevocationGuardDeps): RevocationGuard {
  const { stateDir, ipsec, clock, log } = deps;
  const file = join(stateDir, FILE);
  let kept: Kept | null = null;
  /** Nodes whose SAs are still to end. */
  let due = new Set<NodeId>();
  let cancelRetry: Cancel = () => undefined;
  let isStopped = false;
  let last: Promise<void> = Promise.resolve();

  async function enforce(): Promise<void> {
    if (!kept || isStopped) return;
    try {
      await ipsec.loadRevocations(kept.message.crlPem);
      const ended = await ipsec.terminatePeers([...due]);
      if (due.size > 0) log.warn({ nodes: [...due], ended }, 'revoked nodes are kept out; their SAs were ended');
      due = new Set();
      if (kept.enforced < kept.message.number) await keep({ ...kept, enforced: kept.message.number });
    } catch (cause) {
      log.debug({ error: messageOf(cause) }, 'the daemon could not be told of revocations yet');
      cancelRetry();
      cancelRetry = clock.setTimer(RETRY_MS, () => void queue(enforce));
    }
  }

  async function keep(next: Kept): Promise<void> {
    kept = next;
    await writeFileAtomic(file, `${JSON.stringify(next)}\n`, 0o600);
  }

  async function take(message: RevocationsMessage): Promise<void> {
    const fault = kept && message.number < kept.message.number ? `it is number ${message.number}, older than ${kept.message.number}` : faultOf(message, deps.caPem());
    if (fault !== null) return log.error({ number: message.number, reason: fault }, 'a list of revocations was refused, the one before stays');
    const known = new Set((kept?.message.revoked ?? []).map(({ keySha256 }) => keySha256));
    for (const { node, keySha256 } of message.revoked) if (!known.has(keySha256)) due.add(node);
    try {
      await keep({ schema: 'foremesh/node-revocations/v1', enforced: kept?.enforced ?? 0, message });
    } catch (cause) {
      log.error({ error: messageOf(cause) }, 'the list of revocations could not be kept; it holds until this agent ends'); // in force all the same
    }
    await deps.onRevoked?.([...due]);
    await enforce();
  }

  function queue(task: () => Promise<void>): Promise<void> {
    last = last.then(task);
    return last;
  }

  return {
    async start() {
      kept = await load(file, log);
      if (kept && kept.enforced < kept.message.number) due = new Set(kept.message.revoked.map(({ node }) => node));
      await queue(enforce);
    },
    receive: (message) => queue(() => take(message)),
    keysOf: (nodes) => (kept?.message.revoked ?? []).filter(({ node }) => nodes.includes(node)).map(({ keySha256 }) => keySha256),
    stop() {
      isStopped = true;
      cancelRetry();
    },
  };
}

async function load(file: string, log: Log): Promise<Kept | null> {
  const text = await readFileIfExists(file);
  if (text === null) return null;
  try {
    const kept = JSON.parse(text) as Kept;
    if (kept.schema === 'foremesh/node-revocations/v1' && isForm(kept.message)) return kept;
  } catch {
    // told below
  }
  log.error({ file }, 'STATE_DAMAGED: the list of revocations cannot be read; the engine sends it again');
  return null;
}

function faultOf(message: RevocationsMessage, caPem: string): string | null {
  if (!isForm(message)) return 'it does not have the form of one';
  try {
    const isSigned = isCrlSigned(message.crlPem, caPem);
    if (isSigned !== null) return isSigned ? null : 'it is not signed by our CA';
  } catch {
    // a CA that OpenSSL cannot use; told as below
  }
  return 'its list cannot be read';
}

function isForm(message: RevocationsMessage): boolean {
  const { number, crlPem, revoked } = message as unknown as Record<string, unknown>;
  const isEntry = (entry: unknown): boolean => typeof entry === 'object' && entry !== null && /^[a-z0-9-]{1,40}$/.test(String((entry as Record<string, unknown>)['node'])) && /^[0-9a-f]{64}$/.test(String((entry as Record<string, unknown>)['keySha256']));
  return Number.isSafeInteger(number) && typeof crlPem === 'string' && Array.isArray(revoked) && revoked.length <= REVOKED_MAX && revoked.every(isEntry);
}
