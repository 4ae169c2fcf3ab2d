/** Why a text looks like a secret; the text itself is never part of the answer. */
export type SecretShape = string;

const KNOWN_PREFIXES: readonly [RegExp, string][] = [
  [/-----BEGIN [A-Z0-9 ]{0,40}-----/, 'a PEM block'],
  [/\b(?:ghp|gho|ghs|ghu|github_pat|glpat)[_-][A-Za-z0-9_-]{16,}/, 'a forge token'],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/, 'a cloud access key'],
  [/\bxox[abprs]-[A-Za-z0-9-]{10,}/, 'a chat token'],
  [/\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\./, 'a signed token (JWT)'],
];
const SECRET_KEY = /^(?:psk|pre-?shared-?key|secret|password|passwd|private-?key|api-?key|(?:[a-z]+-?)?token)$/i;
const ENCODED_RUN = /[A-Za-z0-9+/_-]{32,}={0,2}/g;
const HEX_RUN = /^[0-9a-f]{32,}$/i;
const ENTROPY_BITS_MIN = 4.2;
const HEX_ENTROPY_BITS_MIN = 3;

/** What kind of secret a value looks like: PEM, known token prefixes, long runs of high entropy (≥ 32 characters); null when it does not. */
export function secretShapeOf(text: string): SecretShape | null {
  for (const [pattern, shape] of KNOWN_PREFIXES) if (pattern.test(text)) return shape;
  for (const [run] of text.matchAll(ENCODED_RUN)) {
    if (HEX_RUN.test(run) ? entropyBits(run) >= HEX_ENTROPY_BITS_MIN : looksEncoded(run) && entropyBits(run) >= ENTROPY_BITS_MIN) {
      return 'a long random string';
    }
  }
  return null;
}

/** True for a key whose value is a secret by its name: `psk`, `password`, `privateKey`, `joinToken`, … */
export function isSecretKey(key: string): boolean {
  return SECRET_KEY.test(key.replaceAll('_', '-'));
}

/** True when a comment or any other part of the raw text holds a PEM block or a known token; positions are offsets. */
export function findSecretOffset(text: string): { offset: number; shape: SecretShape } | null {
  for (const [pattern, shape] of KNOWN_PREFIXES) {
    const match = pattern.exec(text);
    if (match) return { offset: match.index, shape };
  }
  return null;
}

/** Names like `berlin-gw1-very-long-name-of-an-uplink` have no upper case or digits mixed in; keys have. */
function looksEncoded(run: string): boolean {
  return /[a-z]/.test(run) && /[A-Z]/.test(run) && /[0-9+/]/.test(run);
}

function entropyBits(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}
