import { randomBytes, timingSafeEqual, createHash } from 'node:crypto';
import { join } from 'node:path';
import { ForemeshError, readFileIfExists, writeFileAtomic } from '../base/index.ts';

/** The API's bearer token: made in `stateDir/api-token` (0600) on the first call, the same afterwards. */
export async function ensureApiToken(stateDir: string): Promise<string> {
  const file = join(stateDir, 'api-token');
  const known = (await readFileIfExists(file))?.trim();
  if (known !== undefined) {
    if (known.length >= 32) return known;
    throw new ForemeshError('STATE_DAMAGED', { what: `${file} does not hold a token`, fix: 'remove it; a new one is made at the next start' });
  }
  const token = randomBytes(32).toString('base64url');
  await writeFileAtomic(file, `${token}\n`, 0o600);
  return token;
}

/** True when the header is `Bearer <token>`; takes the same time for any wrong token. */
export function isAuthorized(header: string | undefined, token: string): boolean {
  if (header === undefined || header.length > 1000) return false;
  const given = /^Bearer ([\w.~+/=-]+)$/.exec(header)?.[1];
  return given !== undefined && timingSafeEqual(hash(given), hash(token));
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
