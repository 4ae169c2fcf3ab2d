import type { Clock } from '../../base/index.ts';
import type { MergeOrder, Refused, Review } from '../port.ts';
import { branchRef, type Branches } from './branches.ts';
import type { ChangeRecord } from './record.ts';
import type { RecordStore } from './record-store.ts';

const ATTEMPTS_MAX = 5;

type MergeResult = { sha: string } | { refused: Refused; text: string };

export interface MergeDeps {
  records: RecordStore;
  branches: Branches;
  clock: Clock;
  approvalsRequired: number;
  reviews(id: number): Promise<Review[]>;
}

/**
 * Moves base to head together with the record, in one transaction that also holds the head still: both happen or neither.
 * Base only ever moves forward to the approved commit itself, so its signature stays; `method` makes no difference here.
 */
export async function mergeChange(deps: MergeDeps, id: number, order: MergeOrder): Promise<MergeResult> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const stored = await deps.records.load(id);
    const record = await deps.branches.refresh(stored.record);
    const baseSha = await deps.branches.tip(record.base);
    const answer = await judge(deps, record, baseSha, order);
    if (answer) return answer;
    const sha = record.headSha;
    const next: ChangeRecord = { ...record, state: 'merged', mergeSha: sha, closedAt: deps.clock.now() };
    const update = [{ ref: branchRef(record.base), oldSha: baseSha!, newSha: sha }];
    const verify = [{ ref: branchRef(record.head), sha }];
    if (await deps.records.tryChange(stored, 'merged', next, { update, verify })) return { sha };
  }
  return { refused: 'busy', text: 'others write to this change or its branches all the time' };
}

/** The answer when there is nothing to do or it must not be done, in order: state, head, base, reviews, checks. Null: go. */
async function judge(deps: MergeDeps, record: ChangeRecord, baseSha: string | null, order: MergeOrder): Promise<MergeResult | null> {
  const refuse = (refused: Refused, text: string): MergeResult => ({ refused, text });
  if (record.state === 'merged') {
    return record.headSha === order.expectHead ? { sha: record.mergeSha ?? record.headSha } : refuse('moved', 'it was merged with another head');
  }
  if (record.state === 'closed') return refuse('denied', 'it is closed');
  if (record.headSha !== order.expectHead) return refuse('moved', `its head is ${record.headSha}, not ${order.expectHead}`);
  if ((await deps.branches.tip(record.head)) === null) return refuse('moved', 'its branch is gone');
  if (baseSha === null) return refuse('outdated', `there is no branch ${record.base}`);
  if (!(await deps.branches.isAncestor(baseSha, record.headSha))) return refuse('outdated', `${record.base} has moved on to ${baseSha}`);
  const counted = (await deps.reviews(record.id)).filter((review) => !review.dismissed && review.sha === order.expectHead);
  const blockers = counted.filter(({ verdict }) => verdict === 'block').map(({ by }) => by);
  if (blockers.length > 0) return refuse('blocked', `blocked by ${blockers.join(', ')}`);
  const approvals = counted.filter(({ verdict }) => verdict === 'approve').length;
  if (approvals < deps.approvalsRequired) return refuse('approvals', `${approvals} of ${deps.approvalsRequired} approvals on this head`);
  const open = record.statuses.filter(({ sha, state }) => sha === order.expectHead && state !== 'success').map(({ name, state }) => `${name} is ${state}`);
  return open.length > 0 ? refuse('checks', open.join(', ')) : null;
}
