import { LineCounter, isMap, isScalar, isSeq, parseAllDocuments, type Document, type ParsedNode } from 'yaml';
import { createTextPositions, type Finding, type Json, type SourceFile, type TextPositions } from '../base/index.ts';
import { findSecretOffset, isSecretKey, secretShapeOf } from './secrets.ts';
import { guardYaml } from './yaml-guard.ts';

/** One YAML document as plain JSON, with the place of every key and value. */
export interface SourceDocument {
  file: string;
  value: Json;
  /** By JSON pointer (`/nodes/0/name`, '' is the document): offsets of the value and, in a map, of its key. */
  places: ReadonlyMap<string, { at: number; keyAt: number | null }>;
  positions: TextPositions;
  /** Pointers whose value was already refused as a secret: nothing more is said about them, least of all the value. */
  secrets: ReadonlySet<string>;
}

const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype']);
// Controls but for tab and line ends, zero-width and bidi marks, line separators, BOM in the middle, lone surrogates, non-characters.
const BAD_CHARACTER = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffe\uffff]/u;

/**
 * Reads one file of any number of YAML 1.2 documents. Nothing but maps with plain text keys, lists, texts, booleans,
 * null and finite numbers comes out (the caller has bounded the file's length); duplicate keys, aliases, tags, directives, control characters and secrets are findings.
 * Empty documents are left out. A document with a syntax error gives findings and no value; its neighbours still do.
 */
export function parseSource(source: SourceFile): { documents: SourceDocument[]; findings: Finding[] } {
  const text = source.text.startsWith('\ufeff') ? source.text.slice(1) : source.text;
  const positions = createTextPositions(source.file, text);
  const findings = guardText(text, positions);
  if (findings.length === 0) findings.push(...guardYaml(text, positions));
  if (findings.length > 0) return { documents: [], findings };

  const documents: SourceDocument[] = [];
  for (const document of parse(text)) {
    const problems = [...document.errors, ...document.warnings];
    for (const problem of problems.slice(0, 5)) {
      findings.push({
        code: 'INTENT_YAML',
        severity: 'error',
        what: `not valid YAML: ${problem.message.replace(/: ".*$/s, '').slice(0, 160)}`, // without the source text, which may hold a secret
        where: positions.locationAt(problem.pos[0]),
        fix: 'correct the YAML syntax at this place',
      });
    }
    if (problems.length > 0 || document.contents === null) continue;
    const converted = convert(document.contents, positions, findings);
    documents.push({ file: source.file, positions, ...converted });
  }
  return { documents, findings };
}

function parse(text: string): Document.Parsed[] {
  const options = { version: '1.2', schema: 'core', uniqueKeys: false, merge: false, intAsBigInt: true, prettyErrors: false, lineCounter: new LineCounter() } as const;
  const documents = parseAllDocuments(text, options);
  return Array.isArray(documents) ? documents : [];
}

function guardText(text: string, positions: TextPositions): Finding[] {
  const findings: Finding[] = [];
  const add = (code: string, offset: number, what: string, fix: string): void => {
    findings.push({ code, severity: 'error', what, where: positions.locationAt(offset), fix });
  };
  const bad = BAD_CHARACTER.exec(text);
  if (bad) {
    const code = bad[0].codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
    add('INTENT_YAML', bad.index, `the file holds the invisible or control character U+${code}`, 'remove the character');
  }
  const secret = findSecretOffset(text);
  if (secret) add('INTENT_SECRET', secret.offset, `this looks like ${secret.shape}`, SECRET_FIX);
  return findings;
}

const SECRET_FIX = 'take it out of the file and of the history, and replace the secret: keys are made on the nodes and never stand in Git';

interface Converted {
  value: Json;
  places: Map<string, { at: number; keyAt: number | null }>;
  secrets: Set<string>;
}

/** What is refused is reported and left out, so that the rest can still be checked. */
function convert(root: ParsedNode, positions: TextPositions, findings: Finding[]): Converted {
  const places: Converted['places'] = new Map();
  const secrets: Converted['secrets'] = new Set();
  const refuse = (code: string, offset: number, what: string, fix: string): void => {
    findings.push({ code, severity: 'error', what, where: positions.locationAt(offset), fix });
  };

  const visit = (node: ParsedNode | null, pointer: string, keyAt: number | null, end: number): Json => {
    const at = node?.range[0] ?? end;
    places.set(pointer, { at, keyAt });
    if (node === null) return null;
    if (isMap(node)) {
      const result: Record<string, Json> = {};
      const seen = new Set<string>();
      for (const pair of node.items) {
        const key: unknown = isScalar(pair.key) ? pair.key.value : undefined;
        const keyOffset = (pair.key as ParsedNode | null)?.range[0] ?? at;
        const keyShape = typeof key === 'string' ? secretShapeOf(key) : null;
        if (keyShape !== null) {
          refuse('INTENT_SECRET', keyOffset, `this key looks like ${keyShape}`, SECRET_FIX);
          continue;
        }
        if (typeof key !== 'string' || FORBIDDEN_KEYS.has(key) || key.length > 100) {
          refuse('INTENT_YAML', keyOffset, typeof key === 'string' ? `the key "${key.slice(0, 40)}" is not allowed` : 'a key is not plain text', 'use one of the documented keys');
          continue;
        }
        if (seen.has(key)) {
          refuse('INTENT_YAML', keyOffset, `the key "${key.slice(0, 40)}" stands here twice`, 'keep one of them');
          continue;
        }
        seen.add(key);
        const child = `${pointer}/${escapePointer(key)}`;
        if (isSecretKey(key)) {
          refuse('INTENT_SECRET', keyOffset, `"${key}" would hold a secret`, SECRET_FIX);
          secrets.add(child);
        }
        result[key] = visit(pair.value, child, keyOffset, pair.key.range[1]);
      }
      return result;
    }
    if (isSeq(node)) return node.items.map((item, index) => visit(item as ParsedNode | null, `${pointer}/${index}`, null, at));
    if (!isScalar(node)) return null; // an alias, which the guard has refused
    const scalar: unknown = node.value;
    if (typeof scalar === 'bigint') {
      const number = Number(scalar);
      if (Number.isSafeInteger(number)) return number;
      refuse('INTENT_YAML', at, 'the number is too large to be kept exactly', 'write a number between -9007199254740991 and 9007199254740991, or a text in quotes');
      return 0;
    }
    if (typeof scalar === 'number') {
      if (Number.isFinite(scalar)) return scalar;
      refuse('INTENT_YAML', at, 'the number is not finite', 'write a finite number');
      return 0;
    }
    if (typeof scalar === 'string') {
      const shape = secretShapeOf(scalar);
      if (shape && !secrets.has(pointer)) {
        refuse('INTENT_SECRET', at, `this looks like ${shape}`, SECRET_FIX);
        secrets.add(pointer);
      }
      return scalar;
    }
    return typeof scalar === 'boolean' ? scalar : null;
  };

  const value = visit(root, '', null, 0);
  return { value, places, secrets };
}

/** A key as one step of a JSON pointer. */
export function escapePointer(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}
