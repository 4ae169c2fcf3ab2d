import { Ajv, type ErrorObject } from 'ajv';
import { LineCounter, parseDocument } from 'yaml';
import { ForemeshError } from '../base/index.ts';
import type { Plan } from '../model/index.ts';
import { PLAN_SCHEMA } from './plan-schema.ts';

/** No plan of a mesh we can serve is longer, characters. */
const TEXT_MAX = 64 * 1024 * 1024;
const validate = new Ajv({ allErrors: true, strict: true, allowUnionTypes: true }).compile<Plan>(PLAN_SCHEMA);

/**
 * Reads `plan/mesh.yaml` back. Strict: every field present, none unknown, no aliases, no tags; whether the plan makes
 * sense for an intent is `checkPlan`'s question.
 * @throws ForemeshError PLAN_INVALID with the first ten findings
 */
export function parsePlan(text: string): Plan {
  if (text.length > TEXT_MAX) throw invalid([`it has ${text.length} characters, more than ${TEXT_MAX}`]);
  const lines = new LineCounter();
  const document = parseDocument(text, { uniqueKeys: true, strict: true, merge: false, lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0 || document.warnings.length > 0) {
    throw invalid([...document.errors, ...document.warnings].map((error) => `line ${lines.linePos(error.pos[0]).line}: ${error.message}`));
  }
  const value = toValue(document);
  if (!validate(value)) throw invalid((validate.errors ?? []).map(describe));
  return value;
}

function toValue(document: ReturnType<typeof parseDocument>): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 });
  } catch (cause) {
    throw invalid(['it uses YAML aliases'], cause);
  }
}

function describe({ instancePath, message, params }: ErrorObject): string {
  const unknown = 'additionalProperty' in params ? ` (${String(params['additionalProperty'])})` : '';
  return `${instancePath || 'the document'} ${message ?? 'is not valid'}${unknown}`;
}

function invalid(problems: readonly string[], cause?: unknown): ForemeshError {
  const more = problems.length > 10 ? `; and ${problems.length - 10} more` : '';
  return new ForemeshError('PLAN_INVALID', {
    what: `plan/mesh.yaml is not a plan: ${problems.slice(0, 10).join('; ')}${more}`,
    fix: 'git revert the commit that changed it by hand; only the engine writes mesh/live',
    ...(cause === undefined ? {} : { cause }),
  });
}
