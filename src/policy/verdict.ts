import { compareText } from '../base/index.ts';
import type { Verdict, VerdictReason } from '../model/index.ts';

/** What Rego is asked; each has its entry point `data.foremesh.<question>.verdict`. */
export const QUESTIONS = ['intent', 'plan', 'change'] as const;
export type Question = (typeof QUESTIONS)[number];

const REASONS_MAX = 1000;
const TEXT_MAX = 2000;

/**
 * Reads what the policy answered. Anything but exactly one result of the agreed shape is a deny: silence, `true`, a
 * verdict without rules, an allow that gives an error as its reason.
 * Reasons come sorted, errors first, and rules by name: sets have another order in WASM than elsewhere.
 */
export function readVerdict(results: unknown): Verdict {
  if (!Array.isArray(results) || results.length !== 1) return denial('POLICY_INVALID', 'the policy gave no verdict');
  const answer: unknown = (results[0] as { result?: unknown } | null)?.result;
  if (answer === null || typeof answer !== 'object' || Array.isArray(answer)) return denial('POLICY_INVALID', 'the verdict of the policy is not an object');
  const { decision, reasons, rulesRun } = answer as Record<string, unknown>;
  if (decision !== 'allow' && decision !== 'needsApproval' && decision !== 'deny') return denial('POLICY_INVALID', 'the verdict has no decision');
  if (!isTextList(rulesRun) || rulesRun.length === 0) return denial('POLICY_INVALID', 'the verdict does not say which rules ran');
  if (!Array.isArray(reasons) || reasons.length > REASONS_MAX || !reasons.every(isReason)) return denial('POLICY_INVALID', 'the reasons of the verdict have another shape than agreed');
  if (decision !== 'deny' && reasons.some((reason) => reason.severity === 'error')) return denial('POLICY_INVALID', 'the policy allows and gives an error as a reason');
  return { decision, reasons: reasons.map(plain).sort(worstFirst), rulesRun: [...rulesRun].sort(compareText) };
}

/** The verdict for whatever kept the policy from giving one. */
export function denial(code: 'POLICY_INVALID' | 'POLICY_TIMEOUT', message: string): Verdict {
  return {
    decision: 'deny',
    reasons: [
      {
        code,
        severity: 'error',
        message: message.slice(0, TEXT_MAX),
        object: { kind: 'Policy', name: 'policies' },
        fix: code === 'POLICY_TIMEOUT' ? 'make the rules cheaper; nothing is applied until they answer in time' : 'correct the rules; nothing is applied until they answer',
      },
    ],
    rulesRun: [],
  };
}

function isReason(value: unknown): value is VerdictReason {
  if (value === null || typeof value !== 'object') return false;
  const { code, severity, message, object, fix } = value as Record<string, unknown>;
  if (!isText(code) || !isText(message) || !isText(fix) || (severity !== 'error' && severity !== 'warning' && severity !== 'info')) return false;
  if (object === null || typeof object !== 'object') return false;
  const { kind, name, field } = object as Record<string, unknown>;
  return isText(kind) && isText(name) && (field === undefined || isText(field));
}

/** Known members only, so that nothing else travels on. */
function plain({ code, severity, message, object, fix }: VerdictReason): VerdictReason {
  const { kind, name, field } = object;
  return { code, severity, message, object: field === undefined ? { kind, name } : { kind, name, field }, fix };
}

const RANK = { error: 0, warning: 1, info: 2 } as const;

function worstFirst(left: VerdictReason, right: VerdictReason): number {
  const text = ({ code, object, message }: VerdictReason): string => [code, object.kind, object.name, object.field ?? '', message].join('\n');
  return RANK[left.severity] - RANK[right.severity] || compareText(text(left), text(right));
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= TEXT_MAX;
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= REASONS_MAX && value.every(isText);
}
