import type { IncomingMessage, ServerResponse } from 'node:http';
import { readFile } from 'node:fs/promises';
import { ForemeshError, messageOf, type Cancel, type Clock, type Log } from '../base/index.ts';
import { isName, nodeId, type NodeId, type RevocationsMessage } from '../model/index.ts';
import { peerOf } from './peer.ts';
import { createTokenBucket, type TokenBucket } from './token-bucket.ts';

/** What the channel needs of a CA; `src/ca` has it. */
export interface ChannelAuthority {
  caPem: string;
  enrol(token: string, csrPem: string): Promise<{ certificatePem: string; caPem: string }>;
  renew(node: NodeId, csrPem: string): Promise<{ certificatePem: string; caPem: string }>;
  /** The post-quantum key of two nodes, closed for the first. */
  ppk(node: NodeId, peer: NodeId): Promise<{ id: string; sealed: string }>;
  isRevoked(keySha256: string): boolean;
  /** Called after each revocation. */
  onRevoked(listener: () => void): Cancel;
  /** What agents have to know of revocations; null when there is none. */
  revocationsMessage(): Promise<RevocationsMessage | null>;
  serverCredentials(hosts: string[]): Promise<{ keyPem: string; certificatePem: string }>;
}

export interface RequestDeps {
  authority: ChannelAuthority;
  signersFile: string;
  clock: Clock;
  log: Log;
}

const BODY_BYTES_MAX = 32_768;
const ENROL_BURST = 20;
const ENROL_PER_SECOND = 0.5;
const ADDRESSES_MAX = 10_000;

/**
 * Answers `POST /enrol {token, csr}`, `GET /signers` and, with the node's certificate, `POST /renew {csr}` and `POST /ppk {peer}`.
 * Errors are `{code, what, fix}` with the code's status; nothing of a token or request is quoted or logged.
 */
export function createRequestHandler(deps: RequestDeps): (request: IncomingMessage, response: ServerResponse) => void {
  const { authority, clock, log } = deps;
  const buckets = new Map<string, TokenBucket>();

  async function answer(request: IncomingMessage, from: string): Promise<{ type: string; body: string }> {
    const route = `${request.method} ${request.url}`;
    if (route === 'GET /signers') return { type: 'text/plain; charset=utf-8', body: await readFile(deps.signersFile, 'utf8') };
    if (route === 'POST /enrol') {
      limit(from);
      const body = await readBody(request, ['token', 'csr']);
      const issued = await authority.enrol(body['token']!, body['csr']!);
      log.info({ from }, 'a node enrolled');
      return { type: 'application/json', body: JSON.stringify(issued) };
    }
    if (route === 'POST /renew') {
      const peer = peerOf(request.socket, clock.now());
      if (!peer) throw new ForemeshError('API_UNAUTHORIZED', { what: 'no valid certificate of a node', fix: 'enrol again with a join token' });
      if (authority.isRevoked(peer.keySha256)) throw new ForemeshError('CA_KEY_REVOKED', { what: `the key of ${peer.node} was revoked`, fix: 'enrol again with a new join token and a new key' });
      const body = await readBody(request, ['csr']);
      const issued = await authority.renew(peer.node, body['csr']!);
      log.info({ node: peer.node }, 'a certificate was renewed');
      return { type: 'application/json', body: JSON.stringify(issued) };
    }
    if (route === 'POST /ppk') {
      const peer = peerOf(request.socket, clock.now());
      if (!peer || authority.isRevoked(peer.keySha256)) throw new ForemeshError('API_UNAUTHORIZED', { what: 'no valid certificate of a node', fix: 'enrol again with a join token' });
      const body = await readBody(request, ['peer']);
      if (!isName(body['peer']!)) throw new ForemeshError('API_REQUEST_INVALID', { what: 'peer is no name of a node', fix: 'send the name of the peer' });
      return { type: 'application/json', body: JSON.stringify(await authority.ppk(peer.node, nodeId(body['peer']!))) };
    }
    throw new ForemeshError('API_NOT_FOUND', { what: 'no such route', fix: 'agents use /enrol, /renew, /ppk, /signers and /channel' });
  }

  function limit(address: string): void {
    if (buckets.size >= ADDRESSES_MAX) for (const [known, bucket] of buckets) if (bucket.isFull()) buckets.delete(known);
    const bucket = buckets.get(address) ?? createTokenBucket(clock, ENROL_BURST, ENROL_PER_SECOND);
    buckets.set(address, bucket);
    const waitMs = bucket.take(1);
    if (waitMs === 0 && buckets.size <= ADDRESSES_MAX) return;
    bucket.take(-1);
    throw new ForemeshError('CHANNEL_BUSY', { what: 'too many enrolments from this address', fix: `wait ${Math.ceil(Math.max(waitMs, 1000) / 1000)} s` });
  }

  return (request, response) => {
    const from = request.socket.remoteAddress ?? '';
    answer(request, from).then(
      ({ type, body }) => reply(response, 200, type, body),
      (cause: unknown) => {
        const isOurs = cause instanceof ForemeshError;
        log.warn({ from, route: request.url?.slice(0, 60), code: isOurs ? cause.code : null, error: isOurs ? cause.what : messageOf(cause) }, 'an agent’s request was refused');
        const body = isOurs ? { code: cause.code, what: cause.what, fix: cause.fix } : { code: 'COMMAND_FAILED', what: 'the engine could not answer', fix: 'see its log' };
        reply(response, isOurs ? cause.httpStatus : 500, 'application/json', JSON.stringify(body));
        request.resume();
      },
    );
  };
}

function reply(response: ServerResponse, status: number, type: string, body: string): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store', connection: 'close' });
  response.end(body);
}

/** Null when it is too large or breaks off. Not `for await`: leaving that early would destroy the connection before we can answer. */
function readText(request: IncomingMessage): Promise<string | null> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > BODY_BYTES_MAX) resolve(null);
      else chunks.push(chunk);
    });
    request.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    request.on('close', () => resolve(null));
    request.on('error', () => resolve(null));
  });
}

/** The named text members of a small JSON body, and no others. */
async function readBody(request: IncomingMessage, names: readonly string[]): Promise<Record<string, string>> {
  const refuse = (what: string): ForemeshError => new ForemeshError('API_REQUEST_INVALID', { what, fix: `send JSON with ${names.join(' and ')}, at most ${BODY_BYTES_MAX} bytes` });
  const text = await readText(request);
  if (text === null) throw refuse('the body is too large or incomplete');
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw refuse('the body is not JSON'); // without the parser's words, which quote it
  }
  const isPlain = typeof body === 'object' && body !== null && !Array.isArray(body);
  const members = isPlain ? Object.entries(body as Record<string, unknown>) : [];
  const isExact = members.length === names.length && members.every(([name, value]) => names.includes(name) && typeof value === 'string');
  if (!isExact) throw refuse(`the body must hold the texts ${names.join(' and ')} only`);
  return Object.fromEntries(members) as Record<string, string>;
}
