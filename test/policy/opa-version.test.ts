import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { OPA_VERSION } from '../../src/policy/index.ts';

it('is the same in the bootstrap, in the Go module and in what the program looks for', () => {
  const root = resolve(import.meta.dirname, '..', '..');
  const bootstrap = /OPA_VERSION = '([^']+)'/.exec(readFileSync(join(root, 'tools', 'bootstrap.mjs'), 'utf8'))?.[1];
  const module = /open-policy-agent\/opa v(\S+)/.exec(readFileSync(join(root, 'tools', 'opa', 'go.mod'), 'utf8'))?.[1];
  expect([bootstrap, module]).toEqual([OPA_VERSION, OPA_VERSION]);
});
