import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect } from 'vitest';

/** Compares with a stored file; `UPDATE_GOLDEN=1` writes it instead, and its diff is reviewed like code. */
export function expectFile(file: string, actual: string): void {
  if (process.env['UPDATE_GOLDEN'] === '1') {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, actual);
    return;
  }
  expect(actual, file).toBe(readFileSync(file, 'utf8'));
}
