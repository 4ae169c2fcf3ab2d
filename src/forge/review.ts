import { canonicalJson, ForemeshError, isSshIdentity, isSshSignatureValid, signWithSsh } from '../base/index.ts';
import type { ReviewVerdict, Sha } from './port.ts';

/** Purpose of the signature: one made for git or anything else is no review. */
export const REVIEW_NAMESPACE = 'foremesh-review';

/** One person's signed word on exactly one commit of one change. */
export interface SignedReview {
  /** The person's principal in `mesh-config/allowed_signers`. */
  by: string;
  verdict: ReviewVerdict;
  sha: Sha;
  /** Epoch ms. The latest of a person counts, by this time. */
  at: number;
  /** Armoured SSHSIG over `reviewPayload`. */
  signature: string;
}

/** The bytes that a reviewer signs: canonical JSON of change, verdict, commit, person and time. */
export function reviewPayload(change: number, review: Omit<SignedReview, 'signature'>): Uint8Array {
  const { by, verdict, sha, at } = review;
  return Buffer.from(canonicalJson({ schema: 'foremesh/review/v1', change, verdict, sha, by, at }), 'utf8');
}

/** Signs a review with the person's own SSH key, which stays where it is. @throws ForemeshError COMMAND_FAILED, FORGE_REVIEW_INVALID */
export async function signReview(
  change: number,
  review: Omit<SignedReview, 'signature'>,
  privateKeyFile: string,
): Promise<SignedReview> {
  if (!isSshIdentity(review.by)) {
    throw new ForemeshError('FORGE_REVIEW_INVALID', {
      what: `${JSON.stringify(review.by.slice(0, 100))} cannot be a reviewer's name`,
      fix: 'use your principal as it stands in mesh-config/allowed_signers',
    });
  }
  return { ...review, signature: await signWithSsh(privateKeyFile, REVIEW_NAMESPACE, reviewPayload(change, review)) };
}

/** True when the named person signed exactly this review of this change with a key that the file allows now. */
export function verifyReview(change: number, review: SignedReview, allowedSignersFile: string): Promise<boolean> {
  return isSshSignatureValid({
    allowedSignersFile,
    identity: review.by,
    namespace: REVIEW_NAMESPACE,
    signature: review.signature,
    message: reviewPayload(change, review),
  });
}

/** Principals in an `allowed_signers` text that are plain names and may sign for this purpose, in file order. */
export function listSigners(text: string, namespace = REVIEW_NAMESPACE): string[] {
  return text.split('\n').flatMap((line) => {
    const [principals = '', options = ''] = line.trim().split(/\s+/);
    if (principals === '' || principals.startsWith('#')) return [];
    const namespaces = /(?:^|,)namespaces="([^"]*)"/.exec(options)?.[1];
    const mayReview = namespaces === undefined || namespaces.split(',').includes(namespace);
    return mayReview ? principals.split(',').filter((name) => isSshIdentity(name)) : [];
  });
}
