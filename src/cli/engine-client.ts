import { join } from 'node:path';
import { createApiClient, type ApiClient } from '../api/index.ts';
import { ForemeshError, readFileIfExists } from '../base/index.ts';
import type { EngineOptions } from './options.ts';

/** Where `foremesh serve` keeps its state unless told otherwise; its socket and token are found here. */
export const STATE_DIR = process.env['FOREMESH_STATE'] ?? '/var/lib/foremesh';

/** The running engine: flag, then environment, then the state folder of this machine. */
export async function connectEngine(options: EngineOptions): Promise<ApiClient> {
  const tokenFile = options.tokenFile ?? join(STATE_DIR, 'api-token');
  const token = process.env['FOREMESH_TOKEN'] ?? (await readFileIfExists(tokenFile))?.trim();
  if (!token) {
    throw new ForemeshError('API_UNAUTHORIZED', { what: `no API token: ${tokenFile} is not there`, fix: 'start the engine here (foremesh serve), or pass --token-file or set FOREMESH_TOKEN for one elsewhere' });
  }
  return createApiClient(options.url ? { url: options.url, token } : { socket: options.socket ?? join(STATE_DIR, 'api.sock'), token });
}

/** The body of a successful answer. @throws ForemeshError with the engine's own code, what and fix */
export async function ask<T>(client: Pick<ApiClient, 'request'>, method: string, path: string, body?: unknown): Promise<T> {
  const answer = await client.request(method, path, body);
  if (answer.status >= 200 && answer.status < 300) return answer.body as T;
  const error = answer.body as { code?: string; what?: string; fix?: string } | null;
  throw new ForemeshError(answer.status === 404 ? 'API_NOT_FOUND' : answer.status === 401 ? 'API_UNAUTHORIZED' : 'API_REQUEST_INVALID', {
    what: error?.what ?? `${method} ${path} was answered with ${answer.status}`,
    fix: error?.fix ?? 'see the log of the engine',
  });
}
