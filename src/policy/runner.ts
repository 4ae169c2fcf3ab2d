import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { ForemeshError, systemClock, messageOf, type Clock } from '../base/index.ts';
import type { Verdict } from '../model/index.ts';
import type { CompiledPolicy } from './compile.ts';
import { denial, QUESTIONS, readVerdict, type Question } from './verdict.ts';
import { WORKER_SOURCE } from './worker-source.ts';

/** Answers questions, one after the other, from a thread of its own. */
export interface PolicyRunner {
  /** Never rejects: a timeout, an error, silence or a strange answer is a deny that says so. */
  evaluate(question: Question, input: unknown): Promise<Verdict>;
  /** Ends the thread; questions still waiting and later ones are denied. */
  close(): Promise<void>;
}

export interface PolicyRunnerOptions {
  /** A question takes no longer, ms of real time for each started half MiB of its input; default 250. */
  timeoutMs?: number;
  /** Starting the thread and its first evaluations (which compile the WASM) take no longer, ms; default 15 s. */
  warmUpMs?: number;
  /** Runs the timeouts. Real time by default, in simulations too: the thread does not live in virtual time. */
  clock?: Clock;
}

/** 64 MiB of WASM memory; a rule that wants more fails. */
const PAGES_MAX = 1024;
/** An input beyond this is not handed over, UTF-16 units of JSON. */
const INPUT_LENGTH_MAX = 16 * 1024 * 1024;
/** The time limit is for an input up to this length and grows with it: a plan of 1000 tunnels (0.7 MB) takes 60 ms on a busy core. */
const TIMED_LENGTH = 512 * 1024;

/**
 * Starts a warm evaluator: a thread without environment, network code or files of ours, with bounded memory. A question
 * that does not end in time has its thread ended; the next question gets a fresh one.
 * @throws ForemeshError POLICY_INVALID when the WASM cannot be loaded or lacks an entry point
 */
export async function createPolicyRunner(policy: CompiledPolicy, options: PolicyRunnerOptions = {}): Promise<PolicyRunner> {
  const clock = options.clock ?? systemClock;
  const timeoutMs = options.timeoutMs ?? 250;
  const warmUpMs = options.warmUpMs ?? 15_000;
  let thread: EvaluatorThread | null = await startThread(policy, clock, warmUpMs);
  let closed = false;
  let last: Promise<unknown> = Promise.resolve();

  const answer = async (question: Question, input: unknown): Promise<Verdict> => {
    if (closed) return denial('POLICY_INVALID', 'the policy runner is closed');
    let text: string;
    try {
      text = JSON.stringify(input) ?? 'null';
      thread ??= await startThread(policy, clock, warmUpMs);
    } catch (cause) {
      return denial('POLICY_INVALID', `the policy could not be asked: ${messageOf(cause)}`);
    }
    if (text.length > INPUT_LENGTH_MAX) return denial('POLICY_INVALID', `the input of the policy is ${text.length} characters long, more than ${INPUT_LENGTH_MAX}`);
    const asked = thread;
    const limitMs = timeoutMs * Math.max(1, Math.ceil(text.length / TIMED_LENGTH));
    const outcome = await asked.ask(question, text, limitMs);
    if (outcome.kind === 'answer') return readVerdict(outcome.results);
    thread = null; // out of time or out of memory: nothing of that instance is used again
    await asked.end();
    if (outcome.kind === 'timeout') return denial('POLICY_TIMEOUT', `the policy gave no verdict on the ${question} within ${limitMs} ms`);
    return denial('POLICY_INVALID', `the policy failed on the ${question}: ${outcome.message}`);
  };

  return {
    evaluate(question, input) {
      const verdict = last.then(() => answer(question, input));
      last = verdict;
      return verdict;
    },
    async close() {
      closed = true;
      await thread?.end();
      thread = null;
    },
  };
}

type Outcome = { kind: 'answer'; results: unknown } | { kind: 'error'; message: string } | { kind: 'timeout' };

interface EvaluatorThread {
  ask(question: Question, input: string, timeoutMs: number): Promise<Outcome>;
  end(): Promise<void>;
}

async function startThread(policy: CompiledPolicy, clock: Clock, warmUpMs: number): Promise<EvaluatorThread> {
  const worker = new Worker(WORKER_SOURCE, {
    eval: true,
    env: {},
    argv: [],
    execArgv: [],
    stdout: true, // what rules print goes nowhere
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32 },
    workerData: { opaWasm: createRequire(import.meta.url).resolve('@open-policy-agent/opa-wasm'), wasm: policy.wasm, pagesMax: PAGES_MAX },
  });
  worker.unref();
  worker.stdout.resume();
  worker.stderr.resume();
  const thread = talkTo(worker, clock);
  const ready = await thread.next(null, warmUpMs);
  const missing = ready.kind === 'answer' ? QUESTIONS.filter((question) => !(ready.results as string[]).includes(`foremesh/${question}/verdict`)) : [];
  if (ready.kind !== 'answer' || missing.length > 0) {
    await thread.end();
    const why = ready.kind === 'error' ? ready.message : ready.kind === 'timeout' ? `not loaded within ${warmUpMs} ms` : `no rule data.foremesh.${missing[0]}.verdict`;
    throw new ForemeshError('POLICY_INVALID', { what: `the compiled policy cannot be used: ${why}`, fix: 'compile the policies again with the OPA that Foremesh pins' });
  }
  for (const question of QUESTIONS) {
    const warm = await thread.ask(question, 'null', warmUpMs); // compiles the code that the timed questions will run
    if (warm.kind === 'timeout') {
      await thread.end();
      throw new ForemeshError('POLICY_TIMEOUT', { what: `the policy does not even answer an empty ${question} within ${warmUpMs} ms`, fix: 'make the rules cheaper' });
    }
  }
  return thread;
}

/** One outstanding question at a time, which the runner sees to. */
function talkTo(worker: Worker, clock: Clock): EvaluatorThread & { next(post: object | null, timeoutMs: number): Promise<Outcome> } {
  let sequence = 0;
  let settle: ((outcome: Outcome) => void) | null = null;
  let failure: string | null = null;
  const fail = (message: string): void => {
    failure ??= message;
    settle?.({ kind: 'error', message: failure });
  };
  worker.on('message', (message: { id?: number; ready?: string[]; results?: unknown; error?: string }) => {
    if (message.ready) settle?.({ kind: 'answer', results: message.ready });
    else if (message.id === sequence) settle?.(message.error === undefined ? { kind: 'answer', results: message.results } : { kind: 'error', message: message.error });
  });
  worker.on('error', (cause) => fail(messageOf(cause)));
  worker.on('exit', () => fail('its thread ended'));

  const next = (post: object | null, timeoutMs: number): Promise<Outcome> =>
    new Promise((resolve) => {
      const cancel = clock.setTimer(timeoutMs, () => settle?.({ kind: 'timeout' }));
      settle = (outcome) => {
        settle = null;
        cancel();
        worker.unref();
        resolve(outcome);
      };
      if (failure !== null) return settle({ kind: 'error', message: failure });
      worker.ref();
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin; the rule means windows
      if (post) worker.postMessage(post);
    });
  return {
    next,
    ask: (question, input, timeoutMs) => next({ id: ++sequence, question, input }, timeoutMs),
    async end() {
      await worker.terminate();
    },
  };
}
