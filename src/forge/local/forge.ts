import { ForemeshError, type Clock, type Log } from '../../base/index.ts';
import type { Change, ChangeEdit, Forge, NewChange, Review } from '../port.ts';
import { listSigners, verifyReview, type SignedReview } from '../review.ts';
import { createBranches } from './branches.ts';
import { mergeChange } from './merge.ts';
import { BODY_LENGTH_MAX, latestReviews, REVIEWS_MAX, TITLE_LENGTH_MAX, withStatus, type ChangeRecord } from './record.ts';
import { createRecordStore } from './record-store.ts';

export interface LocalForgeOptions {
  /** The bare repository on this machine. */
  dir: string;
  clock: Clock;
  log: Log;
  /** Who opens changes when `open` names nobody; default `foremesh`. */
  author?: string;
  /** Reviews a merge needs on its head; default 1. */
  approvalsRequired?: number;
}

/** The port, and what only the local forge needs: signed reviews come in through it, and a person closes through it. */
export interface LocalForge extends Forge {
  /** Takes a person's signed word. @throws ForemeshError FORGE_REVIEW_INVALID when it is not theirs, older than their last, or not on the present head */
  addReview(id: number, review: SignedReview): Promise<Change>;
  open(change: NewChange & { author?: string }): Promise<Change>;
  edit(id: number, edit: ChangeEdit & { by?: string }): Promise<Change>;
  /** All that is recorded of a change, for showing it. */
  record(id: number): Promise<ChangeRecord>;
  /** Principals that may review, as the default branch says now. */
  reviewers(): Promise<string[]>;
}

/** A reviewer's clock may be this much ahead of ours. */
const CLOCK_SKEW_MS = 300_000;
const OPEN_ATTEMPTS_MAX = 12;

/** The forge that needs no server. Several processes may use the same folder at once. */
export function createLocalForge(options: LocalForgeOptions): LocalForge {
  const { dir, clock, log } = options;
  const records = createRecordStore(dir, clock, log);
  const branches = createBranches(dir);

  async function find(query: { head?: string; base?: string; state: 'open' | 'all' }): Promise<Change[]> {
    const named = (await records.list()).map(({ record }) => record).filter(
      (record) => (query.head === undefined || record.head === query.head) && (query.base === undefined || record.base === query.base),
    );
    const wanted = query.state === 'all' ? named : named.filter(({ state }) => state === 'open');
    const changes = await Promise.all(wanted.map((record) => view(record)));
    return changes.filter(({ state }) => query.state === 'all' || state === 'open');
  }

  async function view(record: ChangeRecord): Promise<Change> {
    const { id, state, head, headSha, base, baseSha, title, body, labels, author, closedBy, mergeSha } = await branches.refresh(record);
    const baseNow = state === 'open' ? ((await branches.tip(base)) ?? baseSha) : baseSha;
    return { id, url: null, state, head, headSha, base, baseSha: baseNow, title, body, labels: [...labels], author, closedBy, mergeSha };
  }

  async function open(change: NewChange & { author?: string }): Promise<Change> {
    checkText(change);
    for (let attempt = 0; attempt < OPEN_ATTEMPTS_MAX; attempt++) {
      const [adopted] = await find({ head: change.head, base: change.base, state: 'open' });
      if (adopted) return adopted;
      const id = await records.nextId();
      const stored = await records.create({ ...(await newRecord(change)), id });
      if (stored) return view(stored.record);
    }
    throw new ForemeshError('FORGE_REFUSED', { what: 'no number for a new change: others open changes all the time', fix: 'repeat it' });
  }

  async function newRecord(change: NewChange & { author?: string }): Promise<Omit<ChangeRecord, 'id'>> {
    const headSha = await branches.tip(change.head);
    const baseSha = await branches.tip(change.base);
    if (headSha === null || baseSha === null) {
      throw new ForemeshError('FORGE_REFUSED', { what: `there is no branch ${headSha === null ? change.head : change.base}`, fix: 'push it first' });
    }
    if (await branches.isAncestor(headSha, baseSha)) {
      throw new ForemeshError('FORGE_REFUSED', { what: `${change.base} holds all of ${change.head} already`, fix: 'there is nothing to propose' });
    }
    return {
      schema: 'foremesh/change/v1',
      state: 'open',
      head: change.head,
      headSha,
      base: change.base,
      baseSha,
      title: change.title,
      body: change.body,
      labels: [...change.labels],
      author: change.author ?? options.author ?? 'foremesh',
      openedAt: clock.now(),
      closedBy: null,
      closedAt: null,
      mergeSha: null,
      reviews: [],
      statuses: [],
      notes: {},
    };
  }

  async function edit(id: number, { by, state, ...parts }: ChangeEdit & { by?: string }): Promise<Change> {
    checkText(parts);
    const written = await records.change(id, state === 'closed' ? 'closed' : 'edited', async (stored) => {
      const record = await branches.refresh(stored);
      const next = { ...record, ...parts };
      if (state === undefined || state === record.state || record.state === 'merged') return next;
      return state === 'closed' ? { ...next, state, closedBy: by ?? options.author ?? 'foremesh', closedAt: clock.now() } : { ...next, state, closedBy: null, closedAt: null };
    });
    return view(written);
  }

  async function reviews(id: number): Promise<Review[]> {
    const record = await branches.refresh((await records.load(id)).record);
    const valid = await branches.withSigners(async (file) => {
      const checked = await Promise.all(record.reviews.map(async (review) => ({ review, isValid: await verifyReview(id, review, file) })));
      return checked.flatMap(({ review, isValid }) => (isValid ? [review] : []));
    });
    return latestReviews(valid).map(({ by, verdict, sha }) => ({ by, verdict, sha, dismissed: sha !== record.headSha }));
  }

  async function addReview(id: number, review: SignedReview): Promise<Change> {
    const refuse = (what: string, fix: string): ForemeshError => new ForemeshError('FORGE_REVIEW_INVALID', { what, fix });
    if (!(await branches.withSigners((file) => verifyReview(id, review, file)))) {
      throw refuse(`the review of change ${id} is not signed by ${JSON.stringify(review.by.slice(0, 100))} with a key of mesh-config/allowed_signers`, `sign with a listed key, namespace "foremesh-review"`);
    }
    if (review.at > clock.now() + CLOCK_SKEW_MS) throw refuse('the review is from the future', 'set the clock of the machine that signed it');
    const written = await records.change(id, `${review.verdict} by ${review.by}`, async (stored) => {
      const record = await branches.refresh(stored);
      if (record.reviews.some((known) => known.signature === review.signature)) return null;
      if (record.state !== 'open') throw new ForemeshError('FORGE_REFUSED', { what: `change ${id} is ${record.state}`, fix: 'review an open one' });
      if (record.headSha !== review.sha) throw refuse(`the review is for ${review.sha}, but the head is ${record.headSha}`, 'look at it again and review the present head');
      if (review.verdict === 'approve' && review.by === record.author) throw refuse('nobody approves their own change', 'ask another person');
      if (record.reviews.some((known) => known.by === review.by && known.at >= review.at)) throw refuse('there is a newer review of the same person', 'sign a new one');
      if (record.reviews.length >= REVIEWS_MAX) throw new ForemeshError('FORGE_REFUSED', { what: `change ${id} has too many reviews`, fix: 'close it and open a new one' });
      return { ...record, reviews: [...record.reviews, review] };
    });
    return view(written);
  }

  async function report(sha: string, status: Parameters<Forge['report']>[1]): Promise<void> {
    const all = await Promise.all((await records.list()).map(({ record }) => branches.refresh(record)));
    const about = all.filter((record) => record.headSha === sha || record.mergeSha === sha);
    if (about.length === 0) log.debug({ commit: sha, status: status.name }, 'no change to report on; git log shows the commit itself');
    for (const { id } of about) {
      await records.change(id, `${status.name} is ${status.state}`, (record) => withStatus(record, sha, status, clock.now()));
    }
  }

  return {
    kind: 'local',
    can: { annotations: true, draft: false, closedBy: true, expectedHeadOnMerge: true },
    repo: async () => ({ defaultBranch: await branches.defaultBranch(), cloneUrl: dir, canPush: true }),
    find,
    get: async (id) => view((await records.load(id)).record),
    open,
    edit,
    reviews,
    merge: (id, order) => mergeChange({ records, branches, clock, reviews, approvalsRequired: options.approvalsRequired ?? 1 }, id, order),
    async note(id, key, markdown) {
      await records.change(id, `note ${key}`, (record) =>
        record.notes[key]?.markdown === markdown ? null : { ...record, notes: { ...record.notes, [checkKey(key)]: { markdown, at: clock.now() } } },
      );
    },
    report,
    event: () => null,
    addReview,
    record: async (id) => branches.refresh((await records.load(id)).record),
    reviewers: () => branches.withSigners((_, text) => Promise.resolve(listSigners(text))),
  };
}

function checkKey(key: string): string {
  if (/^[a-z][a-z0-9-]{0,40}$/.test(key)) return key;
  throw new ForemeshError('FORGE_REFUSED', { what: `${JSON.stringify(key.slice(0, 60))} cannot be the key of a note`, fix: 'use small letters, digits and -' });
}

function checkText({ title, body }: { title?: string; body?: string }): void {
  if ((title ?? '').length > TITLE_LENGTH_MAX || (body ?? '').length > BODY_LENGTH_MAX || /[\r\n]/.test(title ?? '')) {
    throw new ForemeshError('FORGE_REFUSED', { what: 'the title or the text of the change is too long', fix: `keep the title to one line of ${TITLE_LENGTH_MAX}, the text to ${BODY_LENGTH_MAX} characters` });
  }
}
