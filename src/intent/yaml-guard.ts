import { CST, Lexer } from 'yaml';
import type { Finding, TextPositions } from '../base/index.ts';

const DEPTH_MAX = 32;
const INDENT_MAX = 128;
const TOKENS_MAX = 32_000;
const FINDINGS_PER_FILE_MAX = 20;

/** Tokens of YAML that an intent does not need and that have cost others dearly: what each is called, and what to do. */
const REFUSED: Record<string, { what: string; fix: string }> = {
  'directive-line': { what: 'a YAML directive', fix: 'remove the line; intent files are YAML 1.2 without directives' },
  anchor: { what: 'a YAML anchor', fix: 'write the value out where it is needed' },
  alias: { what: 'a YAML alias', fix: 'write the value out instead of referring to it' },
  tag: { what: 'a YAML tag', fix: 'remove the tag; the schema decides the types' },
};

/**
 * Looks at a file's tokens before anything recursive does. Gives the findings that make it unfit for the parser:
 * anchors, aliases, tags, directives, tabs as indentation, deep nesting, too many tokens. Linear in the text.
 *
 * The depth check is not a courtesy: 20,000 opening brackets make the YAML composer exhaust the stack inside a regular
 * expression, which ends the whole Node process (measured with yaml 2.9.1 on Node 20), and no `catch` sees that.
 */
export function guardYaml(text: string, positions: TextPositions): Finding[] {
  const findings: Finding[] = [];
  const add = (code: string, offset: number, what: string, fix: string): void => {
    findings.push({ code, severity: 'error', what, where: positions.locationAt(offset), fix });
  };
  let offset = 0;
  let tokens = 0;
  let flowDepth = 0;
  let indicatorsOnLine = 0;
  let nextIsScalar = false;
  let atLineStart = true;
  for (const token of new Lexer().lex(text)) {
    if (++tokens > TOKENS_MAX) {
      add('INTENT_LIMIT', offset, `the file has more than ${TOKENS_MAX} YAML tokens`, 'split it into several files');
      return findings;
    }
    const type: string | null = nextIsScalar ? 'scalar-text' : CST.tokenType(token);
    if (type === 'scalar' || type === 'doc-mode' || type === 'flow-error-end') {
      nextIsScalar = type === 'scalar'; // a mark without a width in the text
      continue;
    }
    nextIsScalar = false;
    const refused = type === null ? undefined : REFUSED[type];
    if (refused && findings.length < FINDINGS_PER_FILE_MAX) add('INTENT_YAML', offset, `${refused.what} is not allowed here`, refused.fix);
    if (type === 'flow-map-start' || type === 'flow-seq-start') flowDepth++;
    if (type === 'flow-map-end' || type === 'flow-seq-end') flowDepth = Math.max(0, flowDepth - 1);
    if (type === 'doc-start' || type === 'doc-end') flowDepth = 0;
    if (flowDepth === 0 && (type === 'seq-item-ind' || type === 'explicit-key-ind' || type === 'map-value-ind')) indicatorsOnLine++;
    if (type === 'newline') indicatorsOnLine = 0;
    const indent = type === 'space' && atLineStart ? token.length : 0;
    if (indent > 0 && token.includes('\t') && flowDepth === 0 && findings.length < FINDINGS_PER_FILE_MAX) {
      add('INTENT_YAML', offset, 'a tab is used as indentation', 'indent with spaces');
    }
    if (flowDepth > DEPTH_MAX || indicatorsOnLine > DEPTH_MAX * 4 || indent > INDENT_MAX) {
      add('INTENT_LIMIT', offset, `the YAML is nested more than ${DEPTH_MAX} levels deep`, 'intent documents are at most eight levels deep; remove the nesting');
      return findings;
    }
    atLineStart = type === 'newline';
    offset += token.length;
  }
  return findings;
}
