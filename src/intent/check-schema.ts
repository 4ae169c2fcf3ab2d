import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { familyOf, isNormalAddress, isPrefix, isTimeZone, type Finding } from '../base/index.ts';
import { nearest, suggestion } from './nearest.ts';
import { escapePointer, type SourceDocument } from './parse.ts';
import { API_VERSION, INTENT_KINDS, INTENT_SCHEMAS, type IntentKind } from './schema.ts';
import { UNIT_TITLES, VALUE_TYPES, type JsonSchema } from './schema-parts.ts';

/** A document whose kind is known; `valid` says whether it fits the schema, with every default filled in. */
export interface KindDocument {
  kind: IntentKind;
  value: { readonly [key: string]: unknown };
  source: SourceDocument;
  valid: boolean;
}

const FINDINGS_PER_DOCUMENT_MAX = 50;

/** Checks a document against the schema of its kind, fills in defaults (in place), and gives all findings, one a place. */
export function checkSchema(source: SourceDocument): { document: KindDocument | null; findings: Finding[] } {
  const { value } = source;
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    return { document: null, findings: [finding(source, '', 'INTENT_SCHEMA', 'the document is not a map of fields', `begin it with apiVersion: ${API_VERSION} and kind:`)] };
  }
  const fields = value as Record<string, unknown>;
  const kind = INTENT_KINDS.find((known) => known === fields['kind']);
  if (kind === undefined) {
    const given = fields['kind'];
    const what = given === undefined ? 'the document has no kind' : `there is no kind ${shown(given)}`;
    return { document: null, findings: [finding(source, '/kind', 'INTENT_SCHEMA', what, suggestion(textOf(given), INTENT_KINDS, ''))] };
  }
  const validate = validatorOf(kind);
  const valid = validate(fields);
  const findings = valid ? [] : explainAll(validate.errors ?? [], source, kind);
  return { document: { kind, value: fields, source, valid }, findings };
}

const validators = new Map<IntentKind, ValidateFunction>();

function validatorOf(kind: IntentKind): ValidateFunction {
  const known = validators.get(kind);
  if (known) return known;
  const ajv = new Ajv2020({ strict: true, allErrors: true, ownProperties: true, useDefaults: true, verbose: true, allowUnionTypes: true });
  ajv.addFormat('foremesh-prefix', (text) => isPrefix(text) && !text.endsWith('/0'));
  ajv.addFormat('foremesh-address', isNormalAddress);
  ajv.addFormat('foremesh-time-zone', isTimeZone);
  ajv.addFormat('foremesh-host-prefix', (text) => {
    const [address = '', length = ''] = text.split('/');
    return isNormalAddress(address) && /^[1-9][0-9]{0,2}$/.test(length) && Number(length) <= (familyOf(address) === 'ipv4' ? 32 : 128);
  });
  const validate = ajv.compile(INTENT_SCHEMAS[kind]);
  validators.set(kind, validate);
  return validate;
}

/** One finding a place: a value that fails pattern and format at once is wrong once. */
function explainAll(errors: readonly ErrorObject[], source: SourceDocument, kind: IntentKind): Finding[] {
  const byPlace = new Map<string, Finding>();
  for (const error of errors) {
    const { pointer, ...explained } = explain(error, kind);
    if (source.secrets.has(pointer) || byPlace.size >= FINDINGS_PER_DOCUMENT_MAX) continue;
    const key = error.keyword === 'required' ? `${pointer}?${String(error.params['missingProperty'])}` : pointer;
    if (!byPlace.has(key)) byPlace.set(key, finding(source, pointer, explained.code, explained.what, explained.fix, explained.atKey));
  }
  return [...byPlace.values()];
}

interface Explanation {
  pointer: string;
  code: string;
  what: string;
  fix: string;
  atKey?: boolean;
}

function explain(error: ErrorObject, kind: IntentKind): Explanation {
  const pointer = error.instancePath;
  const schema: JsonSchema = error.parentSchema ?? {};
  const field = fieldName(pointer, kind);
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(error.params['additionalProperty']);
      const known = Object.keys((schema['properties'] as object | undefined) ?? {});
      const fix = suggestion(key, known, 'remove it');
      return { pointer: `${pointer}/${escapePointer(key)}`, code: 'INTENT_UNKNOWN_KEY', what: `${field} has no field "${key.slice(0, 60)}"`, fix, atKey: true };
    }
    case 'required': {
      const missing = String(error.params['missingProperty']);
      const properties = schema['properties'] as Record<string, JsonSchema> | undefined;
      return { pointer, code: 'INTENT_SCHEMA', what: `${field} has no "${missing}"`, fix: `add ${missing}: ${exampleOf(properties?.[missing]) || '…'}` };
    }
    case 'enum': {
      const allowed = (error.params['allowedValues'] as unknown[]).map(String);
      const near = nearest(String(error.data), allowed);
      const fix = near === null ? `use one of ${allowed.join(', ')}` : `did you mean ${near}?`;
      return { pointer, code: 'INTENT_SCHEMA', what: `${field} is ${shown(error.data)}`, fix };
    }
    case 'const':
      return { pointer, code: 'INTENT_SCHEMA', what: `${field} is ${shown(error.data)}`, fix: `write ${String(error.params['allowedValue'])}` };
    default:
      return explainValue(error, schema, field);
  }
}

function explainValue(error: ErrorObject, schema: JsonSchema, field: string): Explanation {
  const pointer = error.instancePath;
  const title = textOf(schema['title']);
  const what = error.data === null ? `${field} has no value` : `${field} is ${shown(error.data)}`;
  if (UNIT_TITLES.has(title)) {
    const fix = typeof error.data === 'number' ? unitFix(error.data, title) : `write it with its unit, for example ${examplesOf(schema)}`;
    return { pointer, code: 'INTENT_UNIT', what: typeof error.data === 'number' ? `${what}, without a unit` : `${what}, which is not ${/^[aeiou]/i.test(title) ? 'an' : 'a'} ${title.toLowerCase()}`, fix };
  }
  if ((title === VALUE_TYPES.prefix.title || title === VALUE_TYPES.ipv4Prefix.title) && typeof error.data === 'string' && error.data.endsWith('/0')) {
    return { pointer, code: 'INTENT_INVALID', what: `${what}: every address there is`, fix: 'name the networks that are really meant, for example 10.1.0.0/24' };
  }
  if (title !== '') {
    return { pointer, code: 'INTENT_SCHEMA', what: `${what}, which is not: ${title}`, fix: `${textOf(schema['description'])} For example ${examplesOf(schema)}` };
  }
  const size = Array.isArray(error.data) ? error.data.length : null;
  return { pointer, code: 'INTENT_SCHEMA', what: size !== null && error.keyword.endsWith('Items') ? `${field} has ${size} entries` : what, fix: plainFix(error, schema) };
}

/** What a keyword asks for, in words. */
function plainFix(error: ErrorObject, schema: JsonSchema): string {
  const limit = textOf(error.params['limit']);
  switch (error.keyword) {
    case 'type':
      return `write ${[error.params['type'] as string | string[]].flat().map((type) => TYPE_WORDS[type] ?? type).join(' or ')}`;
    case 'minProperties':
    case 'maxProperties':
      return `write exactly one of ${Object.keys((schema['properties'] as object | undefined) ?? {}).join(', ')}`;
    case 'minItems':
      return `write at least ${limit}`;
    case 'maxItems':
      return `write at most ${limit}`;
    case 'minimum':
      return `write a number of at least ${limit}`;
    case 'maximum':
      return `write a number of at most ${limit}`;
    default:
      return examplesOf(schema) === '' ? `it ${error.message ?? `fails "${error.keyword}"`}` : `for example ${examplesOf(schema)}`;
  }
}

const TYPE_WORDS: Record<string, string> = { string: 'a text', integer: 'a whole number', number: 'a number', boolean: 'true or false', array: 'a list', object: 'a map of fields' };

/** A bare number has lost its unit; show the same number with the unit most likely meant. */
function unitFix(value: number, title: string): string {
  if (title === VALUE_TYPES.bandwidth.title) return `write '${value}Mbps' if megabits per second are meant`;
  if (title === VALUE_TYPES.ratio.title) return value > 0 && value < 1 ? `write '${Number((value * 100).toPrecision(6))}%'` : `write '${value}%'`;
  if (title === VALUE_TYPES.expectedChange.title) return `write '×${value}' for so many times as much, '+${value}Mbps' for so much more`;
  return `write '${value}s' for seconds, '${value}ms' for milliseconds, '${value}m' for minutes`;
}

function examplesOf(schema: JsonSchema): string {
  return ((schema['examples'] as unknown[] | undefined) ?? []).map((example) => `'${String(example)}'`).join(', ');
}

function exampleOf(schema: JsonSchema | undefined): string {
  if (!schema) return '';
  const reference = typeof schema['$ref'] === 'string' ? schema['$ref'].split('/').at(-1)! : null;
  const target: JsonSchema = reference === null ? schema : VALUE_TYPES[reference as keyof typeof VALUE_TYPES];
  const value: unknown = (target['examples'] as unknown[] | undefined)?.[0] ?? (target['enum'] as unknown[] | undefined)?.[0] ?? target['const'] ?? target['minimum'];
  return textOf(value);
}

/** Texts and numbers as they are; nothing for the rest. */
function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

function fieldName(pointer: string, kind: IntentKind): string {
  return pointer === '' ? `the ${kind}` : pointer.slice(1).replaceAll('/', '.').replaceAll(/\.(\d+)/g, '[$1]');
}

/** The value in short, for a message; never a long text, which might be a secret nobody recognised. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return value.length <= 60 ? JSON.stringify(value) : `a text of ${value.length} characters`;
  if (Array.isArray(value)) return 'a list';
  return value !== null && typeof value === 'object' ? 'a map' : String(value);
}

/** A finding at a pointer of a document; a place that does not exist falls back to the nearest one that holds it. */
export function finding(source: SourceDocument, pointer: string, code: string, what: string, fix: string, atKey = false): Finding {
  return { code, severity: 'error', what, where: locationOf(source, pointer, atKey), fix };
}

export function locationOf(source: SourceDocument, pointer: string, atKey = false): NonNullable<Finding['where']> {
  let current = pointer;
  while (!source.places.has(current) && current !== '') current = current.slice(0, current.lastIndexOf('/'));
  const place = source.places.get(current) ?? { at: 0, keyAt: null };
  return source.positions.locationAt(atKey && current === pointer && place.keyAt !== null ? place.keyAt : place.at);
}
