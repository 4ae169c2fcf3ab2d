import { ERROR_CODES, type ErrorCode } from './error-codes.ts';

/** Where in the user's files something stands; line and column count from 1. */
export interface SourceLocation {
  file: string;
  line: number;
  column: number;
}

/** One thing found wrong (or worth a warning), as loaders, policies and checkers report it. Findings are values, never thrown one by one. */
export interface Finding {
  code: string;
  severity: 'error' | 'warning' | 'info';
  what: string;
  where: SourceLocation | null;
  fix: string;
}

export interface ErrorDetails {
  what: string;
  where?: SourceLocation | null;
  fix: string;
  cause?: unknown;
}

/** Every error of ours: a code of the table, what failed, where, and how to fix it. Never holds a secret. */
export class ForemeshError extends Error {
  readonly code: ErrorCode;
  readonly what: string;
  readonly where: SourceLocation | null;
  readonly fix: string;

  constructor(code: ErrorCode, details: ErrorDetails) {
    super(`${code}  ${details.what}  fix: ${details.fix}`, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.what = details.what;
    this.where = details.where ?? null;
    this.fix = details.fix;
  }

  get httpStatus(): number {
    return ERROR_CODES[this.code].httpStatus;
  }

  get exitCode(): number {
    return ERROR_CODES[this.code].exitCode;
  }
}

/** Several findings at once, from a loader that collects before it stops. */
export class FindingsError extends ForemeshError {
  readonly findings: readonly Finding[];

  constructor(findings: readonly Finding[]) {
    super('INTENT_INVALID', { what: `${findings.length} finding${findings.length === 1 ? '' : 's'}`, fix: 'see each finding' });
    this.findings = findings;
  }
}

/** In a loop: nothing is wrong, try again after `retryAfterMs`. */
export class Waiting extends ForemeshError {
  readonly retryAfterMs: number;

  constructor(code: ErrorCode, retryAfterMs: number, details: ErrorDetails) {
    super(code, details);
    this.retryAfterMs = retryAfterMs;
  }
}

/** In a loop: only a person can help; the last good state is kept meanwhile. */
export class Stalled extends ForemeshError {}

/** `mesh-config/sites/berlin.yaml:14:11  INTENT_UNKNOWN_UPLINK  site …   fix: …` */
export function formatFinding(finding: Finding): string {
  const where = finding.where ? `${finding.where.file}:${finding.where.line}:${finding.where.column}  ` : '';
  return `${where}${finding.code}  ${finding.what}   fix: ${finding.fix}`;
}

/** The text of anything thrown; never its stack, which may hold more than the operator should see. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
