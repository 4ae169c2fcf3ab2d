import { type GuestResult, runSuites } from './vitest-in-guest.ts';

/**
 * The first program of the guest, after its init: runs the suites and prints `@@` and a line of JSON for each test.
 * FOREMESH_TEST_QUICK leaves out whole agents, and the steps of the adapters that hold for any driver.
 */
const say = (value: GuestResult | { done: true }): void => void process.stdout.write(`@@${JSON.stringify(value)}\n`);

const isQuick = process.env['FOREMESH_TEST_QUICK'] !== undefined;
await import('./xfrm-steps.ts');
if (!isQuick) await import('./agents-steps.ts');
if (!isQuick) await import('../lab/adapters/adapters.test.ts');
await runSuites(say);
say({ done: true });
