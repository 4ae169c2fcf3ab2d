import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../src/base/index.ts';

describe('docs/errors.md', () => {
  const text = readFileSync(join(resolve(import.meta.dirname, '..'), 'docs', 'errors.md'), 'utf8');
  const documented = [...text.matchAll(/^\| `([A-Z_]+)` \| (\d+) \| (\d) \|/gm)].map((match) => ({ code: match[1]!, httpStatus: Number(match[2]), exitCode: Number(match[3]) }));

  it('has every code of the table, with its HTTP status and exit code, and no other', () => {
    const table = Object.entries(ERROR_CODES).map(([code, entry]) => ({ code, httpStatus: entry.httpStatus, exitCode: entry.exitCode }));
    expect(documented).toEqual(table);
  });

  it('lists the codes in order', () => {
    expect(Object.keys(ERROR_CODES)).toEqual(Object.keys(ERROR_CODES).sort());
  });
});
