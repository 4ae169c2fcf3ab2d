import type { CryptoSuite } from '../ports.ts';
import { numberAt, textAt, type ViciMessage } from './codec.ts';

const ENCRYPTION: Record<CryptoSuite['encryption'], string> = {
  aes128gcm16: 'aes128gcm16',
  aes256gcm16: 'aes256gcm16',
  chacha20poly1305: 'chacha20poly1305',
  aes128cbc: 'aes128',
  aes256cbc: 'aes256',
  '3des': '3des',
  null: 'null',
};

/** Our crypto suites as strongSwan's `proposals` of an IKE SA: `aes128gcm16-prfsha256-x25519`. */
export function ikeProposals(suites: readonly CryptoSuite[]): string[] {
  return suites.map((suite) => joinWords([ENCRYPTION[suite.encryption], suite.integrity, suite.prf, suite.group]));
}

/** The keyword of an additional key exchange (RFC 9370) with ML-KEM-768 (FIPS 203); strongSwan 6 knows it. */
const ML_KEM = 'ke1_mlkem768';

/**
 * Proposals with ML-KEM besides their group: alone, or before those without. A suite without a group has no key
 * exchange that anything could be added to.
 */
export function withMlKem(proposals: readonly string[], mlKem: 'required' | 'preferred' | undefined): string[] {
  const hybrid = proposals.map((proposal) => (hasGroup(proposal) ? `${proposal}-${ML_KEM}` : proposal));
  if (mlKem === undefined) return [...proposals];
  return mlKem === 'required' ? hybrid : [...new Set([...hybrid, ...proposals])];
}

function hasGroup(proposal: string): boolean {
  return Object.values(GROUP).some((group) => proposal.endsWith(`-${group}`));
}

/** As `esp_proposals` of a CHILD SA: `aes128gcm16-x25519`; without a group there is no perfect forward secrecy. */
export function espProposals(suites: readonly CryptoSuite[]): string[] {
  return suites.map((suite) => joinWords([ENCRYPTION[suite.encryption], suite.integrity, suite.group]));
}

/**
 * What an SA really uses, in our words (`aes128gcm16-prfsha256-x25519`), out of one `list-sa` section; '' before the
 * negotiation. Algorithms that we have no word for appear in strongSwan's, lower case.
 */
export function suiteInUse(sa: ViciMessage): string {
  const encryption = textAt(sa, 'encr-alg');
  if (encryption === null) return '';
  const prf = PRF[textAt(sa, 'prf-alg') ?? ''] ?? textAt(sa, 'prf-alg')?.toLowerCase() ?? 'none';
  const integrity = INTEGRITY[textAt(sa, 'integ-alg') ?? ''] ?? textAt(sa, 'integ-alg')?.toLowerCase() ?? 'none';
  const group = GROUP[textAt(sa, 'dh-group') ?? ''] ?? textAt(sa, 'dh-group')?.toLowerCase() ?? 'none';
  const added = textAt(sa, 'ake1');
  return joinWords([encryptionInUse(encryption, numberAt(sa, 'encr-keysize')), integrity, prf, group, added === null ? 'none' : (ADDED[added] ?? added.toLowerCase())]);
}

const INTEGRITY: Record<string, string> = {
  HMAC_SHA2_256_128: 'sha256',
  HMAC_SHA2_384_192: 'sha384',
  HMAC_SHA2_512_256: 'sha512',
  HMAC_SHA1_96: 'sha1',
  HMAC_MD5_96: 'md5',
};
const PRF: Record<string, string> = {
  PRF_HMAC_SHA2_256: 'prfsha256',
  PRF_HMAC_SHA2_384: 'prfsha384',
  PRF_HMAC_SHA2_512: 'prfsha512',
  PRF_HMAC_SHA1: 'prfsha1',
};
const GROUP: Record<string, string> = {
  CURVE_25519: 'x25519',
  ECP_256: 'ecp256',
  ECP_384: 'ecp384',
  ECP_521: 'ecp521',
  MODP_768: 'modp768',
  MODP_1024: 'modp1024',
  MODP_1536: 'modp1536',
  MODP_2048: 'modp2048',
  MODP_3072: 'modp3072',
};

const ADDED: Record<string, string> = { ML_KEM_768: ML_KEM };

function encryptionInUse(algorithm: string, keyBits: number): string {
  if (algorithm === 'AES_GCM_16') return `aes${keyBits}gcm16`;
  if (algorithm === 'AES_CBC') return `aes${keyBits}cbc`;
  if (algorithm === 'CHACHA20_POLY1305') return 'chacha20poly1305';
  return algorithm.toLowerCase();
}

function joinWords(words: readonly string[]): string {
  return words.filter((word) => word !== 'none').join('-');
}
