import { type Cancel, type Clock, type Log, messageOf, prefixContains } from '../../src/base/index.ts';
import { matchesHostName, type ClassId, type NodeConfig } from '../../src/model/index.ts';
import type { LearnedAddress, NamePort, ResolverAnswer } from '../ports.ts';
import { addressesIn } from './answer.ts';

export interface NameLearnerDeps {
  port: NamePort;
  clock: Clock;
  log: Log;
}

/** Learns from what resolvers answer to hosts which addresses the names of classes have. */
export interface NameLearner {
  setConfig(config: NodeConfig): void;
  stop(): Promise<void>;
}

/** How often the kernel is told that answers find somebody here; a third of what it believes without. */
const BEAT_MS = 1_500;
/** An answer waits for the kernel this long at most; then the host gets it, and its first packets may go by another class, ms. */
const WAIT_MS = 300;
const TTL_MIN_SECONDS = 60;
const TTL_MAX_SECONDS = 86_400;
/** What the kernel was told is told again after this, in case somebody emptied the sets, ms. */
const TRUSTED_MS = 60_000;
/** Addresses kept in mind; as many as a set of the kernel has room for. Beyond it the oldest is told again when it comes again. */
const KNOWN_MAX = 4096;

interface NamedMatch {
  classId: ClassId;
  match: number;
  patterns: readonly string[];
}

interface Known {
  entry: Omit<LearnedAddress, 'ttlSeconds'>;
  names: readonly string[];
  untilMs: number;
  toldAtMs: number;
}

/**
 * Every answer is passed on to its host as it came, in order of arrival but for those that bring something new: these
 * wait until the kernel knows the address, so that the host's first packet has its class. Only addresses at other sites
 * count, for only those have classes. Fails open: what goes wrong here is logged and costs nothing but the class.
 */
export function createNameLearner({ port, clock, log }: NameLearnerDeps): NameLearner {
  const known = new Map<string, Known>();
  let matches: NamedMatch[] = [];
  let remote: string[] = [];
  let resolvers: readonly string[] = [];
  let address: string | null = null;
  let isToSort = false;
  let isDiverted = false;
  let closeSockets: Cancel | null = null;
  let cancelBeat: Cancel = () => undefined;
  let working: Promise<void> = Promise.resolve();
  let problem = '';
  let isStopped = false;

  function onAnswer(answer: ResolverAnswer): void {
    const news = newsIn(answer.message);
    if (news.length === 0) return answer.pass();
    let isPassed = false;
    const pass = (): void => {
      if (!isPassed) answer.pass();
      isPassed = true;
    };
    const cancel = clock.setTimer(WAIT_MS, pass);
    const tell = async (): Promise<void> => {
      await port.learn(news.map(({ entry, ttlSeconds }) => ({ ...entry, ttlSeconds })), []);
      for (const { entry, names, ttlSeconds } of news) remember(entry, names, ttlSeconds);
    };
    void attempt(tell, 'addresses of an answer were not learned').finally(() => {
      cancel();
      pass();
    });
  }

  /** What the kernel has to be told: unknown, about to be forgotten, or not told for a while. */
  function newsIn(message: Uint8Array): { entry: Known['entry']; names: readonly string[]; ttlSeconds: number }[] {
    const nowMs = clock.monotonicMs();
    return addressesIn(message)
      .filter((found) => remote.some((prefix) => prefixContains(prefix, `${found.address}/32`)))
      .flatMap((found) => matchesOf(found.names).map(({ classId, match }) => ({ entry: { classId, match, address: found.address }, names: found.names, ttlSeconds: Math.min(TTL_MAX_SECONDS, Math.max(TTL_MIN_SECONDS, found.ttlSeconds)) })))
      .filter(({ entry, ttlSeconds }) => {
        const before = known.get(keyOf(entry));
        return !before || nowMs - before.toldAtMs >= TRUSTED_MS || before.untilMs < nowMs + ttlSeconds * 1000 - TRUSTED_MS;
      });
  }

  function matchesOf(names: readonly string[]): NamedMatch[] {
    return matches.filter(({ patterns }) => patterns.some((pattern) => names.some((name) => matchesHostName(pattern, name))));
  }

  function remember(entry: Known['entry'], names: readonly string[], ttlSeconds: number): void {
    const nowMs = clock.monotonicMs();
    known.delete(keyOf(entry));
    known.set(keyOf(entry), { entry, names, untilMs: nowMs + ttlSeconds * 1000, toldAtMs: nowMs });
    if (known.size > KNOWN_MAX) known.delete(known.keys().next().value!);
  }

  /** After a change of patterns: what was learned goes where it belongs now. */
  async function sort(): Promise<void> {
    const nowMs = clock.monotonicMs();
    const standing = [...known.values()].filter(({ untilMs }) => untilMs > nowMs);
    const wanted = new Map(standing.flatMap(({ entry, names, untilMs }) => matchesOf(names).map(({ classId, match }) => ({ entry: { classId, match, address: entry.address }, names, untilMs }))).map((one) => [keyOf(one.entry), one]));
    const exists = ({ classId, match }: Known['entry']): boolean => matches.some((one) => one.classId === classId && one.match === match);
    const gone = [...known.values()].filter(({ entry }) => !wanted.has(keyOf(entry)) && exists(entry)).map(({ entry }) => entry);
    const fresh = [...wanted.values()].filter(({ entry }) => !known.has(keyOf(entry)));
    await port.learn(fresh.map(({ entry, untilMs }) => ({ ...entry, ttlSeconds: Math.max(1, Math.ceil((untilMs - nowMs) / 1000)) })), gone);
    known.clear();
    for (const [key, one] of wanted) known.set(key, { ...one, toldAtMs: nowMs });
    isToSort = false;
  }

  async function beat(): Promise<void> {
    cancelBeat();
    await attempt(async () => {
      if (isStopped || address === null) return;
      closeSockets ??= await port.listen(address, resolvers, onAnswer);
      if (isToSort) await sort();
      await port.divert(resolvers, true);
      isDiverted = true;
      if (problem !== '') log.info({}, 'answers of resolvers are looked at again');
      problem = '';
    }, 'answers of resolvers are not looked at');
    if (!isStopped && address !== null) cancelBeat = clock.setTimer(BEAT_MS, again);
  }

  function again(): void {
    working = working.then(beat);
  }

  async function attempt(work: () => Promise<void>, what: string): Promise<void> {
    try {
      await work();
    } catch (cause) {
      if (problem !== what) log.warn({ error: messageOf(cause) }, `${what}: hosts get them themselves, classes by name wait`);
      problem = what;
    }
  }

  async function end(): Promise<void> {
    cancelBeat();
    if (isDiverted) await attempt(() => port.divert(resolvers, false), 'the end of looking at answers was not told');
    isDiverted = false;
    closeSockets?.();
    closeSockets = null;
  }

  return {
    setConfig(config) {
      const next = { address: port.addressOf(config), resolvers: config.resolvers ?? [] };
      const nextMatches = config.classes.flatMap(({ id, match }) => match.flatMap(({ names }, index) => (names ? [{ classId: id, match: index, patterns: names }] : [])));
      if (JSON.stringify(nextMatches) !== JSON.stringify(matches)) isToSort = known.size > 0;
      matches = nextMatches;
      remote = config.sites.filter(({ id }) => id !== config.site).flatMap(({ prefixes }) => prefixes.filter((prefix) => !prefix.includes(':')));
      if (next.address === address && next.resolvers.join() === resolvers.join()) return;
      working = working.then(async () => {
        await end();
        ({ address, resolvers } = next);
        if (address !== null && !isStopped) await beat();
      });
    },
    async stop() {
      isStopped = true;
      await working;
      await end();
    },
  };
}

function keyOf({ classId, match, address }: Known['entry']): string {
  return `${classId} ${match} ${address}`;
}
