import { ASYMMETRIC_MATCHERS_OBJECT, GLOBAL_EXPECT, JestAsymmetricMatchers, JestChaiExpect, JestExtend, setState } from '@vitest/expect';
import * as chai from 'chai';

/**
 * What our lab tests use of vitest, for a guest without a JIT-friendly processor, where vitest itself would take minutes
 * to start: its own assertions, and a runner that does one test after the other and prints a line of JSON for each.
 */
type Body = () => unknown;

interface Suite {
  name: string;
  before: Body[];
  after: Body[];
  tests: { name: string; body: Body }[];
}

const suites: Suite[] = [];
let current: Suite | null = null;

function suite(): Suite {
  if (!current) throw new Error('it, beforeAll and afterAll belong into a describe');
  return current;
}

export function describe(name: string, body: () => void): void {
  current = { name, before: [], after: [], tests: [] };
  suites.push(current);
  body();
  current = null;
}

export function it(name: string, body: Body): void {
  suite().tests.push({ name, body });
}

export function beforeAll(body: Body): void {
  suite().before.push(body);
}

export function afterAll(body: Body): void {
  suite().after.push(body);
}

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);

type Expect = (value: unknown, message?: string) => Chai.Assertion;
const globals = globalThis as unknown as Record<symbol, object>;
export const expect: Expect = Object.assign(((value, message) => chai.expect(value, message)) as Expect, chai.expect, globals[ASYMMETRIC_MATCHERS_OBJECT]);
globals[GLOBAL_EXPECT] = expect;
setState({ assertionCalls: 0 }, expect as never);

/** One line a test: what ran, whether it held, how long it took. A suite that could not begin counts as one failed test. */
export interface GuestResult {
  test: string;
  ok: boolean;
  ms: number;
  error?: string;
}

/** Runs all suites in order. A failed test does not stop the ones after it, as in vitest. */
export async function runSuites(print: (result: GuestResult) => void): Promise<void> {
  for (const { name, before, after, tests } of suites) {
    const began = await attempt(`${name} > set-up`, async () => {
      for (const body of before) await body();
    });
    print(began);
    if (began.ok) for (const test of tests) print(await attempt(`${name} > ${test.name}`, test.body));
    const ended = await attempt(`${name} > tear-down`, async () => {
      for (const body of after) await body();
    });
    if (!ended.ok) print(ended);
  }
}

async function attempt(test: string, body: Body): Promise<GuestResult> {
  const startedAtMs = performance.now();
  const result = (ok: boolean, error?: string): GuestResult => ({ test, ok, ms: Math.round(performance.now() - startedAtMs), ...(error === undefined ? {} : { error }) });
  try {
    await body();
    return result(true);
  } catch (cause) {
    return result(false, cause instanceof Error ? (cause.stack ?? cause.message) : String(cause));
  }
}
