import { compareText } from '../base/index.ts';

/** Text that YAML 1.1 and 1.2 both read as this very string without quotes. */
const PLAIN = /^(?:[A-Za-z][A-Za-z0-9 ._/~>()-]*|\d+\.\d+\.\d+\.\d+(?:\/\d+)?)$/;
const RESERVED = /^(?:true|false|yes|no|on|off|null|y|n)$/i;

/**
 * YAML of plain data (objects, lists, text, finite numbers, booleans, null) with keys sorted: the same value gives the
 * same bytes. Written here because general libraries take seconds for the config of a large mesh; a property test
 * reads it back with one. Lists of names stand on one line, everything else in blocks, so that diffs are short.
 */
export function toYaml(value: object, header: readonly string[]): string {
  const lines = header.map((line) => `# ${line}`);
  writeMembers(value, '', lines);
  return `${lines.join('\n')}\n`;
}

function writeMembers(value: object, indent: string, lines: string[], first = indent): void {
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([left], [right]) => compareText(left, right));
  for (const [index, [key, member]] of members.entries()) writeEntry(`${index === 0 ? first : indent}${scalar(key)}:`, member, indent, lines);
}

function writeEntry(head: string, value: unknown, indent: string, lines: string[]): void {
  const inline = inlineOf(value);
  if (inline !== null) lines.push(`${head} ${inline}`);
  else if (Array.isArray(value)) {
    lines.push(head);
    for (const item of value) writeItem(item, `${indent}  `, lines);
  } else {
    lines.push(head);
    writeMembers(value as object, `${indent}  `, lines);
  }
}

function writeItem(item: unknown, indent: string, lines: string[]): void {
  const inline = inlineOf(item);
  if (inline !== null) lines.push(`${indent}- ${inline}`);
  else if (Array.isArray(item)) {
    lines.push(`${indent}-`);
    for (const each of item) writeItem(each, `${indent}  `, lines);
  } else writeMembers(item as object, `${indent}  `, lines, `${indent}- `);
}

/** What fits on one line: scalars, empty collections, lists of scalars and lists of those; null for the rest. */
function inlineOf(value: unknown): string | null {
  if (Array.isArray(value)) {
    const items = value.map((item) => (Array.isArray(item) || !isCollection(item) ? inlineOf(item) : null));
    return items.every((item) => item !== null) ? `[${items.join(', ')}]` : null;
  }
  if (isCollection(value)) return Object.keys(value).length === 0 ? '{}' : null;
  return scalar(value);
}

function isCollection(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function scalar(value: unknown): string {
  if (typeof value === 'string') return PLAIN.test(value) && !RESERVED.test(value) && !value.endsWith(' ') ? value : JSON.stringify(value);
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value);
  throw new TypeError(`toYaml: ${typeof value === 'number' ? String(value) : typeof value} has no YAML form`);
}
