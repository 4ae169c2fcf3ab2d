import type { Cause } from '../model/index.ts';

/** Proposals are kept apart by what a person decides about: the intent, an override, the first plan, or the network itself. */
export const SCOPES = ['initial', 'intent', 'override', 'network'] as const;
export type ProposalScope = (typeof SCOPES)[number];

/**
 * What a proposal is about, hidden in its body. Two proposals with the same changeset and intent are the same question,
 * so a person's no stands until one of the two changes.
 */
export interface ProposalMarker {
  scope: ProposalScope;
  /** Live commit it was computed against, or `none`. */
  base: string;
  intent: string;
  /** Digest of that intent without its commit: another commit on main need not be another intent. */
  intentDigest: string;
  /** Digest of the plan without its moments of planning. */
  plan: string;
  changeset: string;
  policy: string;
  forecast: string;
  telemetry: string;
  cause: Cause;
  /** What the engine did with it: withdrew it, was told no, applied it. Absent while it is open, and when a person closed it. */
  ended?: 'withdrawn' | 'rejected' | 'applied';
}

export function scopeOf(cause: Cause): ProposalScope {
  return cause === 'initial' || cause === 'intent' || cause === 'override' ? cause : 'network';
}

const FORM = /<!-- foremesh-proposal (\{[^\n]{0,2000}\}) -->/;

export function withMarker(text: string, marker: ProposalMarker): string {
  return `${text.replace(FORM, '').trimEnd()}\n\n<!-- foremesh-proposal ${JSON.stringify(marker)} -->\n`;
}

/** The marker of a body, null when there is none or it is not ours. A forged one gains nothing: plans are checked and judged again before they are applied. */
export function readMarker(body: string): ProposalMarker | null {
  const match = FORM.exec(body);
  if (!match) return null;
  try {
    const value = JSON.parse(match[1]!) as Record<string, unknown>;
    const names = ['scope', 'base', 'intent', 'intentDigest', 'plan', 'changeset', 'policy', 'forecast', 'telemetry', 'cause'];
    return names.every((name) => typeof value[name] === 'string') ? (value as unknown as ProposalMarker) : null;
  } catch {
    return null; // edited by hand beyond recognition: as good as none
  }
}
