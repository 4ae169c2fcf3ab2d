import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ForemeshError, isSshIdentity, readFileIfExists, runCommandText } from '../base/index.ts';

const KEY_NAME = 'signing_ed25519';

/**
 * The Ed25519 key that signs our commits: made in `dir` on the first call, the same afterwards. The private half is readable
 * by its owner only and never leaves the folder.
 * @returns publicKey  `ssh-ed25519 AAAA…`, without comment
 */
export async function ensureSigningKey(dir: string, identity: string): Promise<{ privateKeyFile: string; publicKey: string }> {
  checkIdentity(identity);
  const privateKeyFile = join(dir, KEY_NAME);
  if ((await readFileIfExists(privateKeyFile)) === null) {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const folder = await mkdtemp(join(dir, '.new-'));
    try {
      await runCommandText('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', identity, '-f', join(folder, 'key')]);
      await chmod(join(folder, 'key'), 0o600);
      await rename(join(folder, 'key'), privateKeyFile);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  const [type, key] = (await runCommandText('ssh-keygen', ['-y', '-P', '', '-f', privateKeyFile])).trim().split(' ');
  return { privateKeyFile, publicKey: `${type} ${key}` };
}

/** A line for an `allowed_signers` file: this principal may sign these things (`git`, `foremesh-review`) with this key. */
export function allowedSignersLine(identity: string, publicKey: string, namespaces: readonly string[] = ['git']): string {
  checkIdentity(identity);
  const [type = '', key = ''] = publicKey.trim().split(/\s+/);
  if (!/^(?:ssh|ecdsa|sk)-[a-z0-9@.-]+$/.test(type) || !/^[A-Za-z0-9+/]+=*$/.test(key) || !namespaces.every((name) => /^[a-z-]+$/.test(name))) {
    throw new ForemeshError('GIT_REF_REFUSED', { what: 'not a public SSH key', fix: 'give the content of the .pub file: type and key' });
  }
  return `${identity} namespaces="${namespaces.join(',')}" ${type} ${key}`;
}

function checkIdentity(identity: string): void {
  if (isSshIdentity(identity)) return;
  throw new ForemeshError('GIT_REF_REFUSED', {
    what: `${JSON.stringify(identity.slice(0, 100))} cannot be a signer's name`,
    fix: 'use letters, digits and . _ + @ -, for example engine@foremesh',
  });
}
