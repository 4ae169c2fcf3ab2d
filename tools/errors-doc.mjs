// Rewrites the table of docs/errors.md from src/base/error-codes.ts, keeping the words that people wrote.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from './bootstrap.mjs';

const { ERROR_CODES } = await import(pathToFileURL(join(ROOT, 'dist', 'src', 'base', 'error-codes.js')).href);
const file = join(ROOT, 'docs', 'errors.md');
const text = readFileSync(file, 'utf8');
const words = new Map([...text.matchAll(/^\| `([A-Z_]+)` \| \d+ \| \d \| (.*) \|$/gm)].map((match) => [match[1], match[2]]));
const head = text.slice(0, text.indexOf('| Code |'));
const rows = Object.entries(ERROR_CODES).map(([code, entry]) => `| \`${code}\` | ${entry.httpStatus} | ${entry.exitCode} | ${words.get(code) ?? ' | '} |`);
writeFileSync(file, `${head}| Code | HTTP | Exit | What it means | What to do |\n|---|---|---|---|---|\n${rows.join('\n')}\n`);
