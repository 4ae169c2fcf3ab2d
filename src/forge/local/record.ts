import { Ajv } from 'ajv';
import type { Change, ReviewVerdict, Sha, StatusReport } from '../port.ts';
import type { SignedReview } from '../review.ts';

/** `change.json`: all that is known of one change of the local forge. Head and base are refreshed from the branches while it is open. */
export interface ChangeRecord extends Omit<Change, 'url'> {
  schema: 'foremesh/change/v1';
  openedAt: number;
  closedAt: number | null;
  /** In the order they came; every one is signed and checked again whenever it is read. */
  reviews: SignedReview[];
  /** The newest per commit and name. */
  statuses: (StatusReport & { sha: Sha; at: number })[];
  notes: Record<string, { markdown: string; at: number }>;
}

export const TITLE_LENGTH_MAX = 300;
export const BODY_LENGTH_MAX = 262_144;
export const REVIEWS_MAX = 500;
const STATUSES_MAX = 200;
const VERDICTS: readonly ReviewVerdict[] = ['approve', 'block', 'comment'];

const sha = { type: 'string', minLength: 40, maxLength: 40 };
const branch = { type: 'string', minLength: 1, maxLength: 200 };
const at = { type: 'integer', minimum: 0, maximum: 9_007_199_254_740_991 };
const text = (maxLength: number): object => ({ type: 'string', maxLength });
const nullable = (schema: object): object => ({ anyOf: [schema, { type: 'null' }] });
const object = (properties: Record<string, object>, optional: readonly string[] = []): object => ({
  type: 'object',
  additionalProperties: false,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
  properties,
});

const annotation = object({ path: text(1000), line: at, level: { enum: ['notice', 'warning', 'failure'] }, message: text(10_000) });
const status = object(
  {
    sha,
    at,
    name: text(100),
    state: { enum: ['pending', 'success', 'failure', 'error'] },
    summary: text(10_000),
    url: text(2000),
    annotations: { type: 'array', maxItems: 1000, items: annotation },
  },
  ['url', 'annotations'],
);
const review = object({ by: text(128), verdict: { enum: VERDICTS }, sha, at, signature: text(16_384) });

const validateRecord = new Ajv({ strict: true, ownProperties: true }).compile<ChangeRecord>(
  object({
    schema: { const: 'foremesh/change/v1' },
    id: { type: 'integer', minimum: 1 },
    state: { enum: ['open', 'closed', 'merged'] },
    head: branch,
    headSha: sha,
    base: branch,
    baseSha: sha,
    title: text(TITLE_LENGTH_MAX),
    body: text(BODY_LENGTH_MAX),
    labels: { type: 'array', maxItems: 50, items: text(100) },
    author: text(200),
    openedAt: at,
    closedBy: nullable(text(200)),
    closedAt: nullable(at),
    mergeSha: nullable(sha),
    reviews: { type: 'array', maxItems: REVIEWS_MAX, items: review },
    statuses: { type: 'array', maxItems: STATUSES_MAX, items: status },
    notes: { type: 'object', maxProperties: 100, additionalProperties: object({ markdown: text(BODY_LENGTH_MAX), at }) },
  }),
);

/** The record of `change.json`, or null when it is not one of change `id`. */
export function parseRecord(id: number, json: string): ChangeRecord | null {
  try {
    const value: unknown = JSON.parse(json);
    return validateRecord(value) && value.id === id ? value : null;
  } catch {
    return null; // not JSON is the answer
  }
}

export function isRecord(value: unknown): boolean {
  return validateRecord(value);
}

/** Readable in `git show`, the same bytes for the same record. */
export function formatRecord(record: ChangeRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** With this status in place of an older one of the same commit and name; the oldest fall out beyond 200. */
export function withStatus(record: ChangeRecord, sha: Sha, status: StatusReport, now: number): ChangeRecord {
  const others = record.statuses.filter((old) => old.sha !== sha || old.name !== status.name);
  return { ...record, statuses: [...others, { ...status, sha, at: now }].slice(-STATUSES_MAX) };
}

/** The latest review of each person by the time they signed, by name; later in the record wins a tie. */
export function latestReviews(reviews: readonly SignedReview[]): SignedReview[] {
  const latest = new Map<string, SignedReview>();
  for (const review of reviews) {
    const known = latest.get(review.by);
    if (!known || review.at >= known.at) latest.set(review.by, review);
  }
  return [...latest.values()].sort((one, other) => (one.by < other.by ? -1 : 1));
}
