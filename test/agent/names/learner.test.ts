import { describe, expect, it } from 'vitest';
import { createNameLearner } from '../../../agent/names/index.ts';
import type { LearnedAddress, NamePort, ResolverAnswer } from '../../../agent/ports.ts';
import { createLog, VirtualClock } from '../../../src/base/index.ts';
import { classId, type NodeConfig } from '../../../src/model/index.ts';
import { dnsAnswer } from '../../support/dns-message.ts';
import { CONFIG } from '../dataplane/support.ts';

const RESOLVER = '10.2.0.53';
const named = (...names: string[]): NodeConfig => ({
  ...CONFIG,
  resolvers: [RESOLVER],
  classes: [{ id: classId('teams'), priority: 0, match: [{ protocol: 'any', ports: [], dscp: [], names }] }, ...CONFIG.classes],
});

/** The kernel's side: what it was told, and whether it answers. */
function setUp() {
  const clock = new VirtualClock();
  const told: string[] = [];
  const diverted: boolean[] = [];
  let onAnswer: ((answer: ResolverAnswer) => void) | null = null;
  let refusal: Error | null = null;
  let hold: Promise<void> | null = null;
  const text = ({ classId: id, match, address, ttlSeconds }: Omit<LearnedAddress, 'ttlSeconds'> & { ttlSeconds?: number }): string => `${id} ${match} ${address}${ttlSeconds === undefined ? ' gone' : ` ${ttlSeconds}`}`;
  const port: NamePort = {
    addressOf: (config) => (config.resolvers ? '10.1.0.1' : null),
    async divert(_resolvers, isWanted) {
      if (refusal) throw refusal;
      diverted.push(isWanted);
    },
    async learn(learned, forgotten) {
      if (refusal) throw refusal;
      await hold;
      told.push(...learned.map(text), ...forgotten.map(text));
    },
    async listen(_address, _resolvers, listener) {
      onAnswer = listener;
      return () => void (onAnswer = null);
    },
  };
  const learner = createNameLearner({ port, clock, log: createLog('test', 'silent') });
  return {
    clock,
    told,
    diverted,
    learner,
    refuse: (cause: Error | null) => void (refusal = cause),
    holdUp: (until: Promise<void>) => void (hold = until),
    isListening: () => onAnswer !== null,
    /** Gives an answer to the agent; how often the host has got it. */
    answer: (message: Buffer): (() => number) => {
      let passed = 0;
      onAnswer!({ message, pass: () => void passed++ });
      return () => passed;
    },
  };
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

describe('names of classes', () => {
  it('are learned before the host has its answer; other answers are passed on at once', async () => {
    const { learner, answer, told, holdUp } = setUp();
    learner.setConfig(named('*.teams.example'));
    await settle();
    const other = answer(dnsAnswer('www.example', [{ address: '10.2.0.9' }]));
    expect(other()).toBe(1);
    let release = (): void => undefined;
    holdUp(new Promise((resolve) => (release = resolve)));
    const passed = answer(dnsAnswer('a.teams.example', [{ address: '10.2.0.9' }, { address: '192.0.2.1' }]));
    await settle();
    expect(passed()).toBe(0);
    release();
    await settle();
    expect([passed(), told]).toEqual([1, ['teams 0 10.2.0.9 300']]); // what is at no other site has no class
    expect(answer(dnsAnswer('a.teams.example', [{ address: '10.2.0.9' }]))()).toBe(1);
    expect(told.length).toBe(1);
  });

  it('do not keep an answer from its host when the kernel is slow or refuses', async () => {
    const { learner, answer, clock, holdUp, refuse } = setUp();
    learner.setConfig(named('a.teams.example'));
    await settle();
    holdUp(new Promise(() => undefined));
    const slow = answer(dnsAnswer('a.teams.example', [{ address: '10.2.0.9' }]));
    await clock.advance(300);
    expect(slow()).toBe(1);
    refuse(new Error('no such set'));
    const refused = answer(dnsAnswer('a.teams.example', [{ address: '10.2.0.10' }]));
    await settle();
    expect(refused()).toBe(1);
  });

  it('have their time bounded, and are told again when it runs out or after a minute', async () => {
    const { learner, answer, clock, told } = setUp();
    learner.setConfig(named('a.teams.example'));
    await settle();
    for (const ttl of [0, 86_401 * 7]) answer(dnsAnswer('a.teams.example', [{ address: ttl === 0 ? '10.2.0.9' : '10.2.0.10', ttl }]));
    await settle();
    expect(told).toEqual(['teams 0 10.2.0.9 60', 'teams 0 10.2.0.10 86400']);
    await clock.advance(59_000);
    answer(dnsAnswer('a.teams.example', [{ address: '10.2.0.10', ttl: 1000 }]));
    expect(told.length).toBe(2);
    await clock.advance(1_000);
    answer(dnsAnswer('a.teams.example', [{ address: '10.2.0.10', ttl: 1000 }]));
    await settle();
    expect(told.at(-1)).toBe('teams 0 10.2.0.10 1000');
  });

  it('are sorted anew when patterns change, without asking anybody', async () => {
    const { learner, answer, clock, told } = setUp();
    learner.setConfig(named('a.teams.example'));
    await settle();
    answer(dnsAnswer('a.teams.example', [{ address: '10.2.0.9', ttl: 1000 }]));
    await settle();
    learner.setConfig(named('b.teams.example'));
    await clock.advance(1_500);
    await settle();
    expect(told).toEqual(['teams 0 10.2.0.9 1000', 'teams 0 10.2.0.9 gone']);
  });

  it('are asked for again and again while the agent lives, also after a refusal, and no more when it stops', async () => {
    const { learner, clock, diverted, refuse, isListening } = setUp();
    refuse(new Error('no such set: the rules are not there yet'));
    learner.setConfig(named('a.teams.example'));
    await settle();
    expect(diverted).toEqual([]);
    refuse(null);
    await clock.advance(4_500);
    await settle();
    expect(diverted.length).toBeGreaterThanOrEqual(2);
    expect(diverted.every((isWanted) => isWanted)).toBe(true);
    await learner.stop();
    expect([diverted.at(-1), isListening()]).toEqual([false, false]);
    const count = diverted.length;
    await clock.advance(10_000);
    expect(diverted.length).toBe(count);
  });

  it('of no class, or of no resolver, have nobody listening', async () => {
    const { learner, isListening, diverted } = setUp();
    learner.setConfig(named('a.teams.example'));
    await settle();
    learner.setConfig(CONFIG);
    await settle();
    expect([isListening(), diverted.at(-1)]).toEqual([false, false]);
  });
});
