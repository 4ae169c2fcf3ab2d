import { digest } from '../base/index.ts';
import type { ChangeKey } from '../model/index.ts';

/** Identity of a change across plans: the digest of its key. What a veto remembers. */
export function fingerprint(key: ChangeKey): string {
  return digest(key);
}
