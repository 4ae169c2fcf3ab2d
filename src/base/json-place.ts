import type { SourceLocation } from './errors.ts';
import { createTextPositions } from './text-positions.ts';

const SPACE = /\s*/y;
const STRING = /"(?:[^"\\]|\\[\s\S])*"/y;
const SCALAR = /[^\s,\]}]+/y;
const BETWEEN_BRACKETS = /[^"[\]{}]+/y;

/**
 * Where a value stands in a JSON text, by its JSON pointer (`/demands/3/p50`); where there is none, the last of what leads to it. Numbers
 * that JSON does not have, such as NaN, do not disturb. Line and column count from 1, columns in UTF-16 units.
 */
export function placeInJson(file: string, text: string, pointer: string): SourceLocation {
  let at = after(SPACE, text, 0);
  for (const key of pointer.split('/').slice(1)) {
    const next = child(text, at, key.replaceAll('~1', '/').replaceAll('~0', '~'));
    if (next === null) break;
    at = next;
  }
  return createTextPositions(file, text).locationAt(at);
}

/** Offset of the value under a key of the map, or index of the list, that begins at `at`. */
function child(text: string, at: number, wanted: string): number | null {
  const isMap = text[at] === '{';
  if (!isMap && text[at] !== '[') return null;
  let place = after(SPACE, text, at + 1);
  for (let index = 0; place < text.length && text[place] !== '}' && text[place] !== ']'; index++) {
    let key = String(index);
    if (isMap) {
      const end = after(STRING, text, place);
      key = text.slice(place + 1, end - 1);
      place = after(SPACE, text, after(SPACE, text, end) + 1); // beyond the colon
    }
    if (key === wanted) return place;
    place = after(SPACE, text, endOfValue(text, place));
    if (text[place] !== ',') return null;
    place = after(SPACE, text, place + 1);
  }
  return null;
}

function endOfValue(text: string, at: number): number {
  if (text[at] === '"') return after(STRING, text, at);
  if (text[at] !== '{' && text[at] !== '[') return after(SCALAR, text, at);
  let depth = 0;
  for (let place = at; place < text.length; ) {
    const sign = text[place]!;
    if (sign === '{' || sign === '[') depth++;
    if (sign === '}' || sign === ']') depth--;
    if (depth === 0) return place + 1;
    place = Math.max(place + 1, sign === '"' ? after(STRING, text, place) : after(BETWEEN_BRACKETS, text, place));
  }
  return text.length;
}

/** The end of what a sticky pattern matches at an offset; the offset where it does not. */
function after(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}
