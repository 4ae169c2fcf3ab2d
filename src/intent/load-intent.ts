import { SOURCE_LIMITS, compareText, readSourceFolder, sortedBy, type Finding, type SourceFile, type SourceLocation } from '../base/index.ts';
import type { Intent, Override, Verdict } from '../model/index.ts';
import { checkBounds } from './check-bounds.ts';
import { checkReferences } from './check-references.ts';
import { checkSchema, type KindDocument } from './check-schema.ts';
import { createLocator } from './locate.ts';
import { normalise } from './normalise.ts';
import { outlineOf } from './outline.ts';
import { parseSource } from './parse.ts';

/** An intent and the places its parts come from. */
export interface LocatedIntent {
  intent: Intent;
  /** Documents of kind Override, by name; expired ones included, since loading knows no time. */
  overrides: Override[];
  /** Where an object (or one of its fields) stands, for whoever finds something wrong with it later. Null when it is in no file. */
  locate: (object: { kind: string; name: string; field?: string | undefined }) => SourceLocation | null;
}

export type IntentResult = { ok: true; value: LocatedIntent; warnings: Finding[] } | { ok: false; findings: Finding[] };

const DOCUMENTS_MAX = 3000;

/**
 * Turns YAML files into one checked, normalised, frozen Intent. Pure. Files may come in any order and hold any number of
 * documents; the same documents give the same Intent however they are shuffled, but for connections, which keep the
 * order of file path, then place in the file, since a later one wins.
 * Other files than `.yaml` and `.yml` are ignored.
 * @returns either the intent and warnings, or all findings at once, in order of file, line and column
 */
export function loadIntent(files: readonly SourceFile[], commit: string | null): IntentResult {
  const sources = sortedBy(files, ({ file }) => file).filter(({ file }) => /\.ya?ml$/.test(file));
  const tooMuch = checkLimits(sources);
  if (tooMuch.length > 0) return { ok: false, findings: tooMuch };

  const findings: Finding[] = [];
  const documents: KindDocument[] = [];
  for (const source of sources) {
    const parsed = parseSource(source);
    findings.push(...parsed.findings);
    for (const one of parsed.documents) {
      const checked = checkSchema(one);
      findings.push(...checked.findings);
      if (checked.document) {
        findings.push(...checkBounds(checked.document));
        documents.push(checked.document);
      }
    }
  }
  if (documents.length > DOCUMENTS_MAX) {
    findings.push({ code: 'INTENT_LIMIT', severity: 'error', what: `${documents.length} documents, more than the ${DOCUMENTS_MAX} of one mesh`, where: null, fix: 'use selectors (store-*) instead of one document a pair' });
    return { ok: false, findings: inOrder(findings) };
  }
  const { errors, warnings } = checkReferences(outlineOf(documents));
  findings.push(...errors);
  if (findings.length > 0) return { ok: false, findings: inOrder([...findings, ...warnings]) };

  const { intent, overrides } = normalise(documents, commit);
  return { ok: true, value: { intent, overrides, locate: createLocator(documents, intent) }, warnings: inOrder(warnings) };
}

/**
 * Reads the YAML files below `dir/mesh-config`, sorted; everything else there (signers, notes) is ignored.
 * @param dir  root of the mesh repository; the paths given are relative to it
 * @throws FindingsError INTENT_LIMIT for symbolic links, files that are not UTF-8, and beyond 64 KiB a file, 2 MiB and 500 files in all
 */
export function readConfigFolder(dir: string): Promise<SourceFile[]> {
  return readSourceFolder(dir, 'mesh-config', ['.yaml', '.yml']);
}

/** A verdict's reasons as findings, with the place in the YAML where it has one. */
export function findingsOfVerdict(verdict: Verdict, located: Pick<LocatedIntent, 'locate'> | null): Finding[] {
  return verdict.reasons.map((reason) => ({
    code: reason.code,
    severity: reason.severity,
    what: reason.message,
    where: located?.locate(reason.object) ?? null,
    fix: reason.fix,
  }));
}

/** What is not even parsed: a file or a tree that is too large. */
function checkLimits(sources: readonly SourceFile[]): Finding[] {
  const { fileBytesMax, totalBytesMax, filesMax } = SOURCE_LIMITS;
  const refusal = (what: string, file: string | null, fix: string): Finding => ({ code: 'INTENT_LIMIT', severity: 'error', what, where: file === null ? null : { file, line: 1, column: 1 }, fix });
  const oversize = sources
    .filter(({ text }) => text.length > fileBytesMax || Buffer.byteLength(text) > fileBytesMax)
    .map(({ file }) => refusal(`the file is longer than ${fileBytesMax} bytes`, file, 'split it into several files'));
  if (oversize.length > 0) return oversize;
  const bytes = sources.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  if (sources.length > filesMax) return [refusal(`${sources.length} YAML files, more than the ${filesMax} of one mesh`, null, 'put several documents into one file, separated by ---')];
  if (bytes > totalBytesMax) return [refusal(`the YAML files hold ${bytes} bytes, more than the ${totalBytesMax} of one mesh`, null, 'remove what is not configuration, or split the mesh')];
  return [];
}

function inOrder(findings: readonly Finding[]): Finding[] {
  return [...findings].sort(
    (left, right) =>
      compareText(left.where?.file ?? '', right.where?.file ?? '') ||
      (left.where?.line ?? 0) - (right.where?.line ?? 0) ||
      (left.where?.column ?? 0) - (right.where?.column ?? 0) ||
      compareText(left.code, right.code) ||
      compareText(left.what, right.what),
  );
}
