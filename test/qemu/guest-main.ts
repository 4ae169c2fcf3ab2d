import { type GuestResult, runSuites } from './vitest-in-guest.ts';

/**
 * The first program of the guest, after its init: runs the suites and prints `@@` and a line of JSON for each test.
 * FOREMESH_TEST_QUICK leaves the steps of the adapters out that hold for any driver.
 */
const say = (value: GuestResult | { done: true }): void => void process.stdout.write(`@@${JSON.stringify(value)}\n`);

if (process.env['FOREMESH_TEST_QUICK'] === undefined) await import('../lab/adapters/adapters.test.ts');
await import('./xfrm-steps.ts');
await runSuites(say);
say({ done: true });
