import type { SourceLocation } from './errors.ts';

/** Turns offsets of one file into lines and columns. */
export interface TextPositions {
  readonly file: string;
  /** Line and column count from 1; columns count UTF-16 units, as editors do. */
  locationAt(offset: number): SourceLocation;
}

export function createTextPositions(file: string, text: string): TextPositions {
  const lineStarts = [0];
  for (let index = text.indexOf('\n'); index !== -1; index = text.indexOf('\n', index + 1)) lineStarts.push(index + 1);
  return {
    file,
    locationAt(offset) {
      let low = 0;
      let high = lineStarts.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (lineStarts[middle]! <= offset) low = middle;
        else high = middle - 1;
      }
      return { file, line: low + 1, column: offset - lineStarts[low]! + 1 };
    },
  };
}
