import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from './command.ts';
import { ForemeshError } from './errors.ts';

/** Who may sign with an `allowed_signers` file: no spaces, patterns or options, so that it names exactly one line's principal. */
const IDENTITY = /^[A-Za-z0-9][A-Za-z0-9._+@-]{0,127}$/;
const SIGNATURE_BYTES_MAX = 16_384;

export interface SshSignatureCheck {
  /** File in ssh's `allowed_signers` format. */
  allowedSignersFile: string;
  /** The principal that must have signed. */
  identity: string;
  /** What the signature is for: `git`, `foremesh-review`. One made for another purpose is refused. */
  namespace: string;
  /** Armoured SSHSIG. */
  signature: string;
  message: Uint8Array;
}

export function isSshIdentity(text: string): boolean {
  return IDENTITY.test(text);
}

/** Signs with an SSH private key (by `ssh-keygen -Y sign`); gives the armoured signature. @throws ForemeshError COMMAND_FAILED */
export async function signWithSsh(privateKeyFile: string, namespace: string, message: string | Uint8Array): Promise<string> {
  const result = await runCommand('ssh-keygen', ['-q', '-Y', 'sign', '-n', namespace, '-f', privateKeyFile], { stdin: message });
  const signature = result.stdout.toString('utf8');
  if (result.exitCode === 0 && signature.startsWith('-----BEGIN SSH SIGNATURE-----')) return signature;
  throw new ForemeshError('COMMAND_FAILED', {
    what: `ssh-keygen could not sign: ${result.stderr.trim().slice(-300)}`,
    fix: `see that ${privateKeyFile} is a private SSH key without passphrase, readable by its owner only`,
  });
}

/** True when `identity` signed exactly these bytes for this namespace with a key that the file allows now; false for anything else. */
export async function isSshSignatureValid(check: SshSignatureCheck): Promise<boolean> {
  if (!isSshIdentity(check.identity) || check.signature.length > SIGNATURE_BYTES_MAX) return false;
  const folder = await mkdtemp(join(tmpdir(), 'foremesh-sig-'));
  try {
    const signatureFile = join(folder, 'sig');
    await writeFile(signatureFile, check.signature, { mode: 0o600 });
    const args = ['-Y', 'verify', '-n', check.namespace, '-I', check.identity, '-f', check.allowedSignersFile, '-s', signatureFile];
    return (await runCommand('ssh-keygen', args, { stdin: check.message })).exitCode === 0;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
