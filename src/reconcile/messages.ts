import type { Change, Changeset, LiveTrailers, Verdict } from '../model/index.ts';
import type { DecisionBase } from './decide.ts';

/** Longest subject and longest list in a commit message; the report in the tree has everything. */
const SUBJECT_CHARS_MAX = 100;
const LINES_MAX = 30;

/**
 * The commit message of a plan: what changes in the subject, each change and the policy's reasons in the body, trailers
 * last. @param trailerText as `formatTrailers` of src/git writes it
 */
export function planMessage(decision: Pick<DecisionBase, 'changeset' | 'verdict' | 'cause'>, trailerText: string): string {
  const { changeset, verdict, cause } = decision;
  const body = [
    `Cause: ${cause}. ${figuresOf(changeset)}`,
    ...limited(changeset.changes.map((change) => oneLine(change.summary))),
    ...limited(verdict.reasons.map((reason) => `policy ${reason.severity}: ${oneLine(reason.message)} (${reason.code})`)),
  ];
  return `${subjectOf(changeset)}\n\n${body.join('\n')}\n\n${trailerText.trim()}\n`;
}

/** `+ tunnel a~b and 2 more`: the most disturbing change first. */
export function headlineOf(changeset: Changeset): string {
  const first = [...changeset.changes].sort((left, right) => rankOf(right) - rankOf(left))[0];
  if (!first) return 'node settings';
  const rest = changeset.changes.length - 1;
  return oneLine(first.summary) + (rest > 0 ? ` and ${rest} more` : '');
}

/** One line for the trailer `Foremesh-Cause`. */
export function causeLine(cause: string, changeset: Changeset): string {
  return oneLine(`${cause}: ${headlineOf(changeset)}`).slice(0, 200);
}

/** The text of a proposal for people. Markdown; every name in it comes from the checked intent. */
export function proposalText(decision: DecisionBase, base: string): string {
  const { changeset, verdict, report } = decision;
  const reasons = verdict.reasons.map((reason) => `- **${reason.code}** ${oneLine(reason.message)}${reason.fix ? `. To avoid it: ${oneLine(reason.fix)}` : ''}`);
  const waiting = report.waiting.map((entry) => `- ${oneLine(entry.what)}: ${oneLine(entry.reason)}`);
  return [
    `Foremesh would change the mesh as below and asks first. Cause: **${decision.cause}**. ${figuresOf(changeset)}`,
    section('Why this needs a person', reasons),
    section('Changes', changeset.changes.map((change) => `- \`${oneLine(change.summary)}\` (${change.impact})`)),
    section('Waiting', waiting),
    `Computed against \`${base.slice(0, 12)}\`. Approve exactly this head to have it applied; close or block it to keep it away until it changes. ` +
      'Push to this branch and the engine leaves it to you.',
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function figuresOf(changeset: Changeset): string {
  const cost = `${changeset.usdPerMonthDelta >= 0 ? '+' : '-'}${Math.abs(changeset.usdPerMonthDelta).toFixed(2)} USD/month`;
  const traffic = `${Math.round(changeset.trafficMovedShare * 100)} % of traffic moves`;
  return `${changeset.tunnelsAdded} tunnels to add, ${changeset.tunnelsMoved} to move, ${changeset.tunnelsRemoved} to remove; ${traffic}; ${cost}; impact ${changeset.impact}.`;
}

function subjectOf(changeset: Changeset): string {
  const subject = `mesh: ${headlineOf(changeset)}`;
  return subject.length <= SUBJECT_CHARS_MAX ? subject : `${subject.slice(0, SUBJECT_CHARS_MAX - 1)}…`;
}

function section(title: string, lines: string[]): string {
  return lines.length === 0 ? '' : `### ${title}\n${limited(lines).join('\n')}`;
}

function limited(lines: string[]): string[] {
  return lines.length <= LINES_MAX ? lines : [...lines.slice(0, LINES_MAX), `… and ${lines.length - LINES_MAX} more`];
}

function rankOf(change: Change): number {
  return { none: 0, rekey: 1, reroute: 2, interrupt: 3 }[change.impact] + (change.tunnel === null ? 0 : 0.5);
}

/** No control characters and no line ends, so that no text can pose as a trailer. */
export function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is taken out
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g, ' ').trim();
}

/** `allow`, or the reasons of a verdict that is not, for a log line or a note. */
export function verdictLine(verdict: Verdict): string {
  return verdict.decision === 'allow' ? 'allow' : `${verdict.decision}: ${verdict.reasons.map((reason) => `${reason.code} ${oneLine(reason.message)}`).join('; ')}`;
}

export type TrailerInputs = Omit<LiveTrailers, 'generation' | 'decision' | 'cause'>;
