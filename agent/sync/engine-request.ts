import { createHash, X509Certificate } from 'node:crypto';
import { request as httpsRequest } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { connect, type DetailedPeerCertificate } from 'node:tls';
import { ERROR_CODES, ForemeshError, isAddress, messageOf, Waiting, type ErrorCode } from '../../src/base/index.ts';

export interface EngineAddress {
  host: string;
  port: number;
}

export interface EngineRequest {
  method: 'GET' | 'POST';
  path: string;
  /** The only CA that may vouch for the engine. */
  caPem: string;
  body?: Record<string, string>;
  /** Our own certificate, where the engine asks for it. */
  client?: { certificatePem: string; privateKeyPem: string };
}

const TIMEOUT_MS = 15_000;
/** Of a look that a person waits for. */
const LOOK_TIMEOUT_MS = 4000;
const ANSWER_BYTES_MAX = 262_144;
const RETRY_MS = 5000;

/**
 * The certificate (PEM) in the engine's TLS chain that has this fingerprint. Nothing is sent on that connection; it only
 * finds the CA, and the connections that follow are checked against it in full.
 * @throws ForemeshError CA_TOKEN_REFUSED when the server shows no such certificate; Waiting CHANNEL_CLOSED
 */
export function findServerCa(engine: EngineAddress, fingerprint: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...engine, ...serverName(engine.host), rejectUnauthorized: false, minVersion: 'TLSv1.3' });
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('no answer')));
    socket.on('error', (cause) => reject(unreachable(engine, cause)));
    socket.on('secureConnect', () => {
      const pem = chainOf(socket.getPeerCertificate(true)).find((raw) => createHash('sha256').update(raw).digest('hex') === fingerprint);
      socket.destroy();
      if (pem) return resolve(new X509Certificate(pem).toString());
      return reject(
        new ForemeshError('CA_TOKEN_REFUSED', {
          what: `the server at ${engine.host}:${engine.port} does not belong to the CA that the join token names`,
          fix: 'see that host and port are the engine’s, and that the token was made by that engine',
        }),
      );
    });
  });
}

/** The text of the engine's answer. @throws ForemeshError with the engine's own code and words when it refuses; Waiting CHANNEL_CLOSED */
export function requestEngine(engine: EngineAddress, wanted: EngineRequest): Promise<string> {
  const payload = wanted.body === undefined ? undefined : JSON.stringify(wanted.body);
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      {
        ...engine,
        ...serverName(engine.host),
        agent: false,
        method: wanted.method,
        path: wanted.path,
        ca: wanted.caPem,
        minVersion: 'TLSv1.3',
        timeout: TIMEOUT_MS,
        headers: payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) },
        ...(wanted.client ? { cert: wanted.client.certificatePem, key: wanted.client.privateKeyPem } : {}),
      },
      (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on('data', (chunk: Buffer) => {
          length += chunk.length;
          if (length > ANSWER_BYTES_MAX) request.destroy(new Error('the answer is too large'));
          else chunks.push(chunk);
        });
        response.on('error', (cause) => reject(unreachable(engine, cause)));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          if (response.statusCode === 200) resolve(text);
          else reject(refusalOf(response.statusCode ?? 0, text));
        });
      },
    );
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', (cause) => reject(unreachable(engine, cause)));
    request.end(payload);
  });
}

/** The engine's words, if they are such; a busy engine is waited for. */
function refusalOf(status: number, text: string): ForemeshError {
  try {
    const { code, what, fix } = JSON.parse(text) as Record<string, unknown>;
    if (typeof code === 'string' && Object.hasOwn(ERROR_CODES, code) && typeof what === 'string' && typeof fix === 'string') {
      const details = { what: what.slice(0, 500), fix: fix.slice(0, 500) };
      return status === 429 ? new Waiting(code as ErrorCode, RETRY_MS, details) : new ForemeshError(code as ErrorCode, details);
    }
  } catch {
    // not the engine's form; told below
  }
  return new Waiting('CHANNEL_CLOSED', RETRY_MS, { what: `the engine answered with status ${status}`, fix: 'see the engine’s log' });
}

function chainOf(certificate: DetailedPeerCertificate): Buffer[] {
  const chain: Buffer[] = [];
  let at: DetailedPeerCertificate | undefined = certificate;
  while (at?.raw && chain.length < 5 && !chain.some((raw) => raw.equals(at!.raw))) {
    chain.push(at.raw);
    at = at.issuerCertificate;
  }
  return chain;
}

/** SNI takes names only. */
export function serverName(host: string): { servername?: string } {
  return isAddress(host) ? {} : { servername: host };
}

function unreachable(engine: EngineAddress, cause: unknown): Waiting {
  return new Waiting('CHANNEL_CLOSED', RETRY_MS, {
    what: `no connection to the engine at ${engine.host}:${engine.port}: ${messageOf(cause)}`,
    fix: 'see that the engine runs, that its certificate names this host, and that no firewall is between',
    cause,
  });
}

/**
 * What the engine's clock says, by the Date header of its answer; epoch ms, in steps of 1 s. Without a CA (before
 * enrolment) only the port is tried, nothing is believed, and the answer is null.
 * @throws Waiting CHANNEL_CLOSED when it cannot be reached or is somebody else
 */
export function readEngineClock(engine: EngineAddress, caPem: string | null): Promise<number | null> {
  return new Promise((resolve, reject) => {
    if (caPem === null) {
      const socket = connectTcp({ ...engine, timeout: LOOK_TIMEOUT_MS }, () => {
        socket.destroy();
        resolve(null);
      });
      socket.on('timeout', () => socket.destroy(new Error('no answer')));
      socket.on('error', (cause) => reject(unreachable(engine, cause)));
      return;
    }
    const request = httpsRequest({ ...engine, ...serverName(engine.host), agent: false, method: 'GET', path: '/signers', ca: caPem, minVersion: 'TLSv1.3', timeout: LOOK_TIMEOUT_MS }, (response) => {
      response.resume();
      const at = Date.parse(response.headers.date ?? '');
      resolve(Number.isNaN(at) ? null : at);
    });
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', (cause) => reject(unreachable(engine, cause)));
    request.end();
  });
}
