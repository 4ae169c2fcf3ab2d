import { request, type RequestOptions } from 'node:http';
import { request as requestTls } from 'node:https';
import { ForemeshError } from '../base/index.ts';

export interface ApiAnswer {
  status: number;
  /** Parsed when the answer is JSON, text otherwise. */
  body: unknown;
}

export interface ApiClient {
  /** One call. An answer of any status is a value. @throws ForemeshError API_UNREACHABLE when there is none */
  request(method: string, path: string, body?: unknown): Promise<ApiAnswer>;
}

export type ApiClientOptions = { token: string; timeoutMs?: number } & ({ socket: string } | { url: string });

const DEFAULT_TIMEOUT_MS = 120_000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** A client for one engine, by unix socket or URL. Opens a connection a call, so it can be kept for long. */
export function createApiClient(options: ApiClientOptions): ApiClient {
  return {
    request: (method, path, body) => call(options, method, path, body),
  };
}

function call(options: ApiClientOptions, method: string, path: string, body: unknown): Promise<ApiAnswer> {
  const text = body === undefined ? null : JSON.stringify(body);
  const where = 'socket' in options ? options.socket : options.url;
  const headers = {
    authorization: `Bearer ${options.token}`,
    accept: 'application/json',
    ...(text === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
  };
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void => {
      reject(new ForemeshError('API_UNREACHABLE', { what: `${method} ${path} at ${where}: ${cause.message}`, fix: 'see that foremesh serve runs and that you may reach it', cause }));
    };
    const settings: RequestOptions = { method, headers, timeout: options.timeoutMs ?? DEFAULT_TIMEOUT_MS };
    const url = 'socket' in options ? null : new URL(path, options.url);
    const outgoing = url
      ? (url.protocol === 'https:' ? requestTls : request)(url, settings)
      : request({ ...settings, socketPath: 'socket' in options ? options.socket : undefined, path });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')));
    outgoing.on('error', fail);
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES_MAX) outgoing.destroy(new Error('the answer is too long'));
        chunks.push(chunk);
      });
      response.on('error', fail);
      response.on('end', () => {
        const answer = Buffer.concat(chunks).toString('utf8');
        const isJson = (response.headers['content-type'] ?? '').includes('json');
        try {
          resolve({ status: response.statusCode ?? 0, body: isJson && answer !== '' ? (JSON.parse(answer) as unknown) : answer });
        } catch (cause) {
          fail(cause as Error);
        }
      });
    });
    outgoing.end(text ?? undefined);
  });
}
