import { type Cancel, type Clock, ForemeshError, type Log, messageOf, sleep } from '../../src/base/index.ts';
import type { IkeDaemon, TunnelId } from '../../src/model/index.ts';
import type { DriverName } from '../driver.ts';
import type { ConnectionSpec, Credentials, IpsecPort, SaState } from '../ports.ts';
import { createViciClient, type ViciClient, type ViciSession } from './client.ts';
import { listAt, sectionsOf, textAt, type ViciMessage } from './codec.ts';
import { connectionMessage } from './connections.ts';
import { readIkeDaemon } from './daemon-facts.ts';
import { Initiations } from './initiations.ts';
import { type ListedSa, readListedSas, stateOfTunnel } from './sas.ts';

export interface IpsecPortOptions {
  /** strongSwan's VICI socket, e.g. /var/run/charon.vici. */
  socketPath: string;
  /** Default `libipsec`. */
  driver?: DriverName;
  clock: Clock;
  log: Log;
}

/** The daemon's port, and a way to let go of it; SAs stay up. */
export interface ViciIpsecPort extends IpsecPort {
  close(): Promise<void>;
}

/**
 * strongSwan behind `IpsecPort`. A daemon that was restarted gets its credentials again before `onChange` fires;
 * connections and SAs are the caller's to load again, from what `listConnections` and `listSas` lack. While there is
 * no daemon, calls fail with `Waiting` (VICI_CLOSED).
 */
export function createIpsecPort(options: IpsecPortOptions): ViciIpsecPort {
  return new StrongswanPort(options);
}

const EVENTS = ['ike-updown', 'child-updown'] as const;
const EDITIONS = 30;
/** A tunnel that seems gone is looked for again after this, ms. */
const SECOND_LOOK_MS = 5;

class StrongswanPort implements ViciIpsecPort {
  readonly #clock: Clock;
  readonly #driver: DriverName;
  readonly #log: Log;
  readonly #client: ViciClient;
  readonly #initiations: Initiations;
  readonly #listeners = new Set<() => void>();
  /** What was loaded, so that new certificates can be put into it. */
  readonly #specs = new Map<TunnelId, ConnectionSpec>();
  /** Which edition of its connection each tunnel has; see connections.ts. */
  readonly #editions = new Map<TunnelId, number>();
  #ike: IkeDaemon | null = null;
  #credentials: Credentials | null = null;
  #crlPem: string | null = null;
  /** What this session of the daemon has got. */
  #sent: Credentials | null = null;
  #keyId: string | null = null;
  #cancelNotice: Cancel | null = null;
  /** Tunnels whose child was installed when SAs were listed last. */
  #carrying: ReadonlySet<TunnelId> = new Set();

  constructor(options: IpsecPortOptions) {
    this.#clock = options.clock;
    this.#driver = options.driver ?? 'libipsec';
    this.#log = options.log;
    this.#initiations = new Initiations(options.clock, (tunnel) => this.#beginExchange(tunnel));
    this.#client = createViciClient({
      ...options,
      events: EVENTS,
      onEvent: (event, message) => this.#hear(event, message),
      setUp: async (session) => {
        this.#sent = null;
        this.#keyId = null;
        this.#ike = await readIkeDaemon(session);
        if (this.#credentials) await this.#sendCredentials(session, this.#credentials);
        if (this.#crlPem !== null) await session.request('load-cert', { type: 'X509_CRL', data: this.#crlPem });
      },
      onUpDown: (up) => {
        if (!up) this.#initiations.clear();
        this.#notifySoon();
      },
    });
  }

  ike(): IkeDaemon | null {
    return this.#ike;
  }

  async loadCredentials(credentials: Credentials): Promise<void> {
    const before = this.#credentials;
    this.#credentials = credentials;
    await this.#client.ready();
    const oldKeyId = this.#keyId;
    if (!isSame(this.#sent, credentials)) await this.#sendCredentials(this.#client, credentials); // else the new session brought them
    if (before && !isSame(before, credentials)) {
      for (const spec of this.#specs.values()) await this.#client.request('load-conn', this.#messageOf(spec, credentials));
    }
    if (oldKeyId !== null && oldKeyId !== this.#keyId) await this.#client.request('unload-key', { id: oldKeyId });
  }

  async loadRevocations(crlPem: string): Promise<void> {
    this.#crlPem = crlPem;
    await this.#client.request('load-cert', { type: 'X509_CRL', data: crlPem });
  }

  async terminatePeers(nodes: readonly string[]): Promise<number> {
    if (nodes.length === 0) return 0;
    const ids = (await this.#listedSas({})).filter(({ peer }) => nodes.includes(peer)).map(({ state }) => state.ikeId);
    for (const id of ids) await this.#client.request('terminate', { 'ike-id': String(id), force: 'yes', timeout: '-1', loglevel: '-1' });
    return ids.length;
  }

  async loadConnection(spec: ConnectionSpec): Promise<void> {
    if (!this.#credentials) {
      throw new ForemeshError('VICI_FAILED', { what: `connection ${spec.tunnel} has no credentials`, fix: 'call loadCredentials first' });
    }
    if (spec.ppk) await this.#client.request('load-shared', { id: spec.ppk.id, type: 'PPK', data: Buffer.from(spec.ppk.secret, 'base64'), owners: [spec.ppk.id] });
    await this.#client.request('load-conn', this.#messageOf(spec, this.#credentials));
    this.#specs.set(spec.tunnel, spec);
  }

  async unloadConnection(tunnel: TunnelId): Promise<void> {
    this.#specs.delete(tunnel);
    this.#initiations.finish(tunnel);
    if ((await this.listConnections()).includes(tunnel)) await this.#client.request('unload-conn', { name: tunnel });
  }

  async listConnections(): Promise<TunnelId[]> {
    return listAt(await this.#client.request('get-conns'), 'conns').sort() as TunnelId[];
  }

  async initiate(tunnel: TunnelId): Promise<void> {
    await this.#initiations.add(tunnel);
  }

  async initiateBeside(tunnel: TunnelId): Promise<void> {
    const spec = this.#specs.get(tunnel);
    if (!spec || !this.#credentials) throw new ForemeshError('VICI_FAILED', { what: `connection ${tunnel} is not loaded`, fix: 'call loadConnection first' });
    this.#editions.set(tunnel, ((this.#editions.get(tunnel) ?? 0) + 1) % EDITIONS);
    await this.#client.request('load-conn', this.#messageOf(spec, this.#credentials));
    await this.#client.request('initiate', { ike: tunnel, child: tunnel, timeout: '-1', 'init-limits': 'no', loglevel: '-1' });
  }

  async terminateSome(tunnel: TunnelId, which: 'older' | 'newest'): Promise<void> {
    const ids = (await this.#listedSas({ ike: tunnel })).map(({ state }) => state.ikeId).sort((one, other) => one - other);
    const newest = ids.pop();
    for (const id of which === 'older' ? ids : newest === undefined ? [] : [newest]) {
      await this.#client.request('terminate', { 'ike-id': String(id), timeout: '-1', loglevel: '-1' });
    }
  }

  async terminate(tunnel: TunnelId): Promise<void> {
    this.#initiations.finish(tunnel);
    try {
      await this.#client.request('terminate', { ike: tunnel, force: 'yes', timeout: '-1', loglevel: '-1' });
    } catch (cause) {
      // the daemon's refusal when there is no such SA: what was asked for is so
      if (cause instanceof ForemeshError && cause.code === 'VICI_FAILED' && (await this.#listedSas({ ike: tunnel })).length === 0) return;
      throw cause;
    }
  }

  async listSas(): Promise<SaState[]> {
    const found = await this.#addListed(new Map());
    // the daemon's walk over its table can miss an SA that is just handing its child to its successor: whoever took
    // that for the end of a tunnel would take its interface away in the middle of a rekey
    const isAnyGone = [...this.#carrying].some((tunnel) => !(found.get(tunnel) ?? []).some(({ state }) => state.childState === 'INSTALLED'));
    if (isAnyGone) {
      await sleep(this.#clock, SECOND_LOOK_MS);
      await this.#addListed(found);
    }
    const states = [...found.values()].map(stateOfTunnel).sort((left, right) => (left.tunnel < right.tunnel ? -1 : 1));
    this.#carrying = new Set(states.filter(({ childState }) => childState === 'INSTALLED').map(({ tunnel }) => tunnel));
    return states;
  }

  /** Adds what is listed now to what was listed before; of an IKE SA seen twice the later look counts. */
  async #addListed(found: Map<TunnelId, ListedSa[]>): Promise<Map<TunnelId, ListedSa[]>> {
    for (const sa of await this.#listedSas({})) {
      const others = (found.get(sa.state.tunnel) ?? []).filter(({ state }) => state.ikeId !== sa.state.ikeId);
      found.set(sa.state.tunnel, [...others, sa]);
    }
    return found;
  }

  #messageOf(spec: ConnectionSpec, credentials: Credentials): ViciMessage {
    return connectionMessage(spec, credentials, this.#editions.get(spec.tunnel) ?? 0, this.#driver);
  }

  onChange(listener: () => void): Cancel {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    this.#listeners.clear();
    this.#cancelNotice?.();
    this.#initiations.clear();
    this.#client.close();
    return Promise.resolve();
  }

  /** Sends `initiate`, unless the daemon is at it already or has nothing to do: it would make a second SA. */
  async #beginExchange(tunnel: TunnelId): Promise<void> {
    try {
      // a look takes every SA out of the daemon's table and waits for those in an exchange. While many tunnels wait,
      // the two ends are far from where they meet, and of SAs that the peer made its events have told
      if (!this.#initiations.isBusy && (await this.#isUnderWay(tunnel))) return;
      await this.#client.request('initiate', { ike: tunnel, child: tunnel, timeout: '-1', 'init-limits': 'no', loglevel: '-1' });
    } catch (cause) {
      this.#log.warn({ tunnel, reason: messageOf(cause) }, 'could not start an IKE exchange');
      throw cause;
    }
  }

  async #isUnderWay(tunnel: TunnelId): Promise<boolean> {
    for (const { state } of await this.#listedSas({ ike: tunnel })) {
      if (state.ikeState !== 'ESTABLISHED') return true; // the exchange runs, and brings the child with it
      if (state.childState === null) continue;
      this.#initiations.finish(tunnel);
      return true;
    }
    return false;
  }

  async #listedSas(filter: ViciMessage): Promise<ListedSa[]> {
    const sas: ListedSa[] = [];
    for await (const event of this.#client.stream('list-sas', 'list-sa', filter)) sas.push(...readListedSas(event, this.#driver));
    return sas;
  }

  async #sendCredentials(session: ViciSession, credentials: Credentials): Promise<void> {
    await session.request('load-cert', { type: 'X509', flag: 'CA', data: credentials.caPem });
    const response = await session.request('load-key', { type: 'any', data: credentials.privateKeyPem });
    this.#keyId = textAt(response, 'id');
    this.#sent = credentials;
  }

  #hear(event: string, message: ViciMessage): void {
    const up = textAt(message, 'up') === 'yes';
    const exchangeIsOver = event === 'child-updown' ? up : !up;
    for (const [name] of sectionsOf(message)) {
      if (exchangeIsOver) this.#initiations.finish(name as TunnelId);
    }
    this.#notifySoon();
  }

  /** One call for a burst of events. */
  #notifySoon(): void {
    if (this.#cancelNotice) return;
    this.#cancelNotice = this.#clock.setTimer(0, () => {
      this.#cancelNotice = null;
      for (const listener of this.#listeners) listener();
    });
  }
}

function isSame(one: Credentials | null, other: Credentials): boolean {
  return one?.caPem === other.caPem && one.certificatePem === other.certificatePem && one.privateKeyPem === other.privateKeyPem;
}
