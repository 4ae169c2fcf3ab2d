import { type GuestResult, runSuites } from './vitest-in-guest.ts';

/**
 * The first program of the guest, after its init: runs the suites that FOREMESH_TEST_SUITES names and prints `@@` and a
 * line of JSON for each test.
 * - `xfrm`: what only ESP in the kernel does;
 * - `families`: hosts with IPv4 and IPv6, over both;
 * - `agents`: two whole agents;
 * - `adapters`, `classes`: the lab's steps that hold for any driver.
 */
const SUITES: Record<string, () => Promise<unknown>> = {
  xfrm: () => import('./xfrm-steps.ts'),
  families: () => import('./families-steps.ts'),
  agents: () => import('./agents-steps.ts'),
  adapters: () => import('../lab/adapters/adapters.test.ts'),
  classes: () => import('../lab/adapters/classes.test.ts'),
};
const say = (value: GuestResult | { done: true }): void => void process.stdout.write(`@@${JSON.stringify(value)}\n`);

for (const name of (process.env['FOREMESH_TEST_SUITES'] ?? 'xfrm').split(',')) await SUITES[name]!();
await runSuites(say);
say({ done: true });
