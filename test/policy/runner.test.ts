import { afterEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/base/index.ts';
import { createPolicyRunner, type PolicyRunner, type PolicyRunnerOptions } from '../../src/policy/index.ts';
import { compiled, policySources } from './support.ts';

const open: PolicyRunner[] = [];
afterEach(async () => {
  for (const runner of open.splice(0)) await runner.close();
});

/** A runner whose plan rule is the one given; a minute is allowed unless the case is about time. */
async function runnerWith(plan: string, options: PolicyRunnerOptions = { timeoutMs: 60_000 }): Promise<PolicyRunner> {
  const runner = await createPolicyRunner(await compiled(policySources({ plan })), options);
  open.push(runner);
  return runner;
}

const verdict = (members: string) => `verdict := {${members}}`;
const SOUND = '"decision": "allow", "reasons": [], "rulesRun": ["X"]';
const REASON = '{"code": "C", "severity": "error", "message": "m", "object": {"kind": "K", "name": "n"}, "fix": "f"}';

// Only a question that asks for it runs into the trap, so that the warm-up does not.
const TRAP = (trap: string) => `default verdict := {${SOUND}}\n\nverdict := {"decision": "deny", "reasons": [], "rulesRun": ["TRAP"]} if {\n\tinput.trap\n\t${trap}\n}`;
const CROSS_PRODUCT = TRAP('some a in numbers.range(1, 10000)\n\tsome b in numbers.range(1, 10000)\n\tsome c in numbers.range(1, 10000)\n\ta + b + c == -1');

describe('a verdict', () => {
  it('is given as the policy gave it, reasons and rules sorted, unknown members left out', async () => {
    const runner = await runnerWith(verdict(`"decision": "deny", "reasons": [{"code": "B", "severity": "info", "message": "m", "object": {"kind": "K", "name": "n", "field": "x", "more": 1}, "fix": "f", "extra": 2}, ${REASON}], "rulesRun": {"Z", "A"}, "more": true`));
    expect(await runner.evaluate('plan', {})).toEqual({
      decision: 'deny',
      reasons: [
        { code: 'C', severity: 'error', message: 'm', object: { kind: 'K', name: 'n' }, fix: 'f' },
        { code: 'B', severity: 'info', message: 'm', object: { kind: 'K', name: 'n', field: 'x' }, fix: 'f' },
      ],
      rulesRun: ['A', 'Z'],
    });
  });

  it.each([
    ['undefined', 'verdict := 1 if input.never'],
    ['true', 'verdict := true'],
    ['the text "true"', 'verdict := "true"'],
    ['the text "allow"', 'verdict := "allow"'],
    ['a number', 'verdict := 1'],
    ['null', 'verdict := null'],
    ['an empty object', 'verdict := {}'],
    ['a list', `verdict := [{${SOUND}}]`],
    ['without a decision', verdict('"reasons": [], "rulesRun": ["X"]')],
    ['of an unknown decision', verdict('"decision": "Allow", "reasons": [], "rulesRun": ["X"]')],
    ['without reasons', verdict('"decision": "allow", "rulesRun": ["X"]')],
    ['with reasons of another shape', verdict('"decision": "allow", "reasons": ["because"], "rulesRun": ["X"]')],
    ['with a reason about nothing', verdict('"decision": "allow", "reasons": [{"code": "C", "severity": "info", "message": "m", "fix": "f"}], "rulesRun": ["X"]')],
    ['of no rules', verdict('"decision": "allow", "reasons": [], "rulesRun": []')],
    ['without rules', verdict('"decision": "allow", "reasons": []')],
    ['that allows in spite of an error', verdict(`"decision": "allow", "reasons": [${REASON}], "rulesRun": ["X"]`)],
    ['of a division by zero', verdict('"decision": "allow", "reasons": [1 / input.zero], "rulesRun": ["X"]')],
    ['in conflict with itself', `verdict := {${SOUND}} if input.zero == 0\n\nverdict := {"decision": "needsApproval", "reasons": [], "rulesRun": ["X"]} if input.zero == 0`],
  ])('%s is a deny', async (_, rule) => {
    const runner = await runnerWith(rule);
    expect(await runner.evaluate('plan', { zero: 0 })).toMatchObject({ decision: 'deny', reasons: [{ code: 'POLICY_INVALID', severity: 'error' }] });
    expect(await runner.evaluate('change', {})).toMatchObject({ decision: 'allow' }); // the other questions still have their answers
  });
});

describe('the limits of a question', () => {
  it('a rule that does not end in time is stopped, denied, and the next question is answered', async () => {
    const clock = new VirtualClock();
    const runner = await runnerWith(CROSS_PRODUCT, { timeoutMs: 250, clock });
    const stuck = runner.evaluate('plan', { trap: true });
    await clock.advance(250);
    expect(await stuck).toMatchObject({ decision: 'deny', reasons: [{ code: 'POLICY_TIMEOUT' }] });
    expect(await runner.evaluate('plan', {})).toMatchObject({ decision: 'allow' });
  });

  it('the caller goes on while a rule is stuck', async () => {
    const runner = await runnerWith(CROSS_PRODUCT, { timeoutMs: 250 });
    let ticks = 0;
    const ticking = setInterval(() => ticks++, 5);
    await runner.evaluate('plan', { trap: true });
    clearInterval(ticking);
    expect(ticks).toBeGreaterThan(10); // on the caller's thread it would be 0
  });

  it('a rule that wants more than 64 MiB is denied, and the next question is answered', async () => {
    const runner = await runnerWith(TRAP('count(numbers.range(1, 1000000000)) == 0'));
    expect(await runner.evaluate('plan', { trap: true })).toMatchObject({ decision: 'deny', reasons: [{ code: 'POLICY_INVALID', message: expect.stringContaining('opa_malloc') }] });
    expect(await runner.evaluate('plan', {})).toMatchObject({ decision: 'allow' });
  });

  it('an input that is too large, cyclic, nested 100,000 deep or holds a bigint is denied, and the next question is answered', async () => {
    const runner = await runnerWith(`verdict := {${SOUND}}`);
    const cyclic: { self?: unknown } = {};
    cyclic.self = cyclic;
    let deep: unknown = 1;
    for (let level = 0; level < 100_000; level++) deep = [deep];
    for (const input of ['x'.repeat(17 * 1024 * 1024), cyclic, deep, { big: 10n }]) {
      expect(await runner.evaluate('plan', input)).toMatchObject({ decision: 'deny', reasons: [{ code: 'POLICY_INVALID' }] });
    }
    expect(await runner.evaluate('plan', {})).toMatchObject({ decision: 'allow' });
  });

  it('a regular expression that would explode in JavaScript is matched by the one of WASM', async () => {
    const runner = await runnerWith(`verdict := {${SOUND}} if not regex.match("^(a+)+$", input.text)`);
    expect(await runner.evaluate('plan', { text: `${'a'.repeat(20_000)}!` })).toMatchObject({ decision: 'allow' });
  });

  it('questions asked at once are answered one after the other, each with its own verdict', async () => {
    const runner = await runnerWith('verdict := {"decision": "allow", "reasons": [], "rulesRun": [input.name]}');
    const names = Array.from({ length: 20 }, (_, index) => `rule-${index}`);
    const verdicts = await Promise.all(names.map((name) => runner.evaluate('plan', { name })));
    expect(verdicts.map(({ rulesRun }) => rulesRun[0])).toEqual(names);
  });

  it('a closed runner denies, also what was asked before it closed', async () => {
    const runner = await runnerWith(CROSS_PRODUCT);
    const waiting = runner.evaluate('plan', { trap: true });
    await Promise.resolve();
    await runner.close();
    expect(await waiting).toMatchObject({ decision: 'deny' });
    expect(await runner.evaluate('plan', {})).toMatchObject({ decision: 'deny' });
  });
});

describe('starting', () => {
  it('refuses WASM that is none', async () => {
    await expect(createPolicyRunner({ wasm: new Uint8Array([1, 2, 3]), digest: '', files: [] })).rejects.toMatchObject({ code: 'POLICY_INVALID' });
  });
});
