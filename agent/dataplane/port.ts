import { type Cancel, type Clock, type Log, messageOf, sleep, sortedBy, systemClock } from '../../src/base/index.ts';
import type { ClassId, SiteId, TunnelId } from '../../src/model/index.ts';
import type { DataplaneCounters, DataplanePort, DataplaneWanted, LaneWanted, ServiceCount } from '../ports.ts';
import type { DriverName } from '../driver.ts';
import type { MtuSettings } from '../probe/index.ts';
import { clearChanges, type InstalledRuleset, planChanges, sysctlNames } from './changes.ts';
import { checkWanted } from './check.ts';
import type { Change } from './commands.ts';
import { driverOf, type TunnelDriver } from './driver.ts';
import { execute } from './execute.ts';
import { isIpv6Wanted } from './ipv6.ts';
import { KernelWatch } from './kernel-watch.ts';
import { localMachine, type Machine } from './machine.ts';
import { isTunnelName, ownCounters, readOfferedCounter } from './names.ts';
import { observe, readCounters, readDrops, readRuleset, readTraffic } from './observe.ts';
import { buildRuleset, LEAK_COUNTER, type ManagementTraffic } from './ruleset.ts';
import { rulesetKey } from './ruleset-text.ts';
import { readServices } from './services.ts';
import { queuedFlows, readQueues, shapedDevices } from './shaping.ts';
import { readUsers } from './users.ts';

export interface DataplanePortOptions {
  driver: DriverName;
  log: Log;
  clock?: Clock;
  /** What the gateway itself may send through its uplinks besides IKE, ESP and ICMP; none by default. */
  management?: readonly ManagementTraffic[];
  /** The namespace of this process unless a test says otherwise. */
  machine?: Machine;
  /** Tunnel interfaces were made or removed: who remembers interfaces has to look again. */
  onInterfacesChanged?: () => void;
}

/**
 * The kernel's forwarding behind `DataplanePort`, by `ip` and `nft` in this process's network namespace. One apply at
 * a time. What `apply` cannot do yet because charon's device is missing comes back as a line that begins with
 * `waiting`, on every apply until it is there; lanes through those tunnels are unreachable meanwhile.
 * @throws ForemeshError AGENT_PLAN_INVALID before anything is changed; DATAPLANE_FAILED, TOOL_MISSING
 */
export function createDataplanePort(options: DataplanePortOptions): DataplanePort {
  return new KernelDataplane(options);
}

/**
 * Packets that the old rules have marked are routed by the lanes of old: the kernel marks a whole batch before it routes
 * the first of it, and on a busy machine a batch lies between the two for milliseconds. So old lanes go this much later.
 */
const UNDER_WAY_MS = 50;

class KernelDataplane implements DataplanePort {
  readonly #machine: Machine;
  readonly #driver: TunnelDriver;
  readonly #log: Log;
  readonly #management: readonly ManagementTraffic[];
  readonly #onInterfacesChanged: () => void;
  readonly #watch: KernelWatch;
  readonly #listeners = new Set<(isLoss: boolean) => void>();
  #turn: Promise<unknown> = Promise.resolve();
  #installed: InstalledRuleset | null = null;
  #mtus: ReadonlyMap<TunnelId, MtuSettings> = new Map();
  /** Lanes by mark as they were last switched, newer than what the applies that are not done yet were given. */
  readonly #switched = new Map<number, { lane: LaneWanted; number: number }>();
  #switches = 0;
  /** Queues of an earlier life or config: looked for until an apply took them away. */
  #mayHaveQueues = true;
  /** IPv6 rules of an earlier life or config, likewise. */
  #mayHaveIpv6 = true;
  #queueProblem = '';
  /** As last applied. */
  #wanted: DataplaneWanted | null = null;
  readonly #clock: Clock;

  constructor(options: DataplanePortOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#machine = options.machine ?? localMachine;
    this.#driver = driverOf(options.driver);
    this.#log = options.log;
    this.#management = options.management ?? [];
    this.#onInterfacesChanged = options.onInterfacesChanged ?? (() => undefined);
    this.#watch = new KernelWatch(this.#machine, this.#clock, options.log, (isLoss) => {
      for (const listener of this.#listeners) listener(isLoss);
    });
  }

  get keepsSas(): boolean {
    return this.#driver.keepsSas;
  }

  async apply(wanted: DataplaneWanted): Promise<string[]> {
    checkWanted(wanted);
    const switchesKnown = this.#switches;
    return this.#inTurn(async () => {
      for (const [mark, { number }] of this.#switched) if (number <= switchesKnown) this.#switched.delete(mark);
      return this.#applyNow(wanted);
    });
  }

  noteSwitched(lanes: readonly LaneWanted[]): void {
    for (const lane of lanes) this.#switched.set(lane.mark, { lane, number: ++this.#switches });
  }

  async counters(): Promise<DataplaneCounters> {
    const [counters, traffic, shaped, users] = await Promise.all([readCounters(this.#machine), readTraffic(this.#machine), this.#shapedCounters(), this.#wanted?.config.countUsers ? readUsers(this.#machine, this.#wanted.config) : []]);
    const ownOf = (tunnel: TunnelId): { ownRxBytes?: number; ownTxBytes?: number } => {
      const [received, sent] = Object.values(ownCounters(tunnel)).map((name) => counters.find((counter) => counter.name === name));
      return received && sent ? { ownRxBytes: received.bytes, ownTxBytes: sent.bytes } : {};
    };
    return {
      shaped,
      queued: this.#wanted ? queuedFlows(this.#asSwitchedAll(this.#wanted)) : [],
      users,
      offered: counters.flatMap(({ name, packets, bytes }) => {
        const pair = readOfferedCounter(name);
        return pair ? [{ ...pair, bytes, packets }] : [];
      }),
      tunnels: tunnelsOf(traffic).map((tunnel) => ({ ...tunnel, ...ownOf(tunnel.tunnel) })),
      links: traffic.filter(({ name }) => !isTunnelName(name)).map(({ name, rxBytes, txBytes }) => ({ interface: name, rxBytes, txBytes })),
      leakPackets: counters.find(({ name }) => name === LEAK_COUNTER)?.packets ?? 0,
    };
  }

  async #shapedCounters(): Promise<DataplaneCounters['shaped']> {
    const config = this.#wanted?.config;
    if (!config?.shaping) return [];
    const place = this.#driver.shaperPlace;
    const devices = [...new Set(config.uplinks.map((uplink) => place(uplink.interface).device))];
    return readQueues(config, place, (await Promise.all(devices.map((device) => readDrops(this.#machine, device)))).flat());
  }

  async serviceCounts(pairs: readonly { to: SiteId; classId: ClassId }[]): Promise<ServiceCount[]> {
    return this.#wanted?.config.countServices ? readServices(this.#machine, pairs) : [];
  }

  async tunnelCounters(): Promise<DataplaneCounters['tunnels']> {
    return tunnelsOf(await readTraffic(this.#machine));
  }

  tunnelMtus(): ReadonlyMap<TunnelId, MtuSettings> {
    return this.#mtus;
  }

  onChange(listener: (isLoss: boolean) => void): Cancel {
    this.#listeners.add(listener);
    this.#watch.start();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#watch.stop();
    };
  }

  async clear(): Promise<void> {
    await this.#inTurn(async () => {
      const observed = await observe(this.#machine, { sysctls: [], withIpTable: false, withIpv6Rules: true, shapedDevices: [] });
      await execute(clearChanges(observed, this.#driver), this.#machine, this.#clock);
      this.#installed = null;
    });
  }

  async #applyNow(wanted: DataplaneWanted): Promise<string[]> {
    if (this.#wanted?.config.shaping) this.#mayHaveQueues = true;
    const ruleset = buildRuleset(wanted, this.#management, this.#driver);
    const hasIpTable = ruleset.ipChains.length > 0;
    const observed = await observe(this.#machine, { sysctls: sysctlNames(wanted, this.#driver), withIpTable: hasIpTable, withIpv6Rules: isIpv6Wanted(wanted) || this.#mayHaveIpv6, shapedDevices: wanted.config.shaping || this.#mayHaveQueues ? shapedDevices(wanted, this.#driver.shaperPlace) : null });
    const { phases, queues, waiting, lacksIpv6 } = planChanges(this.#asSwitchedAll(wanted), observed, this.#installed, this.#management, this.#driver);
    const rulesetIsNew = phases.flat().some((change) => change.commands.some((command) => command.do === 'nft'));
    if (rulesetIsNew) this.#installed = null;
    const interfacesAreNew = phases.flat().some((change) => change.commands.some((command) => command.do === 'ip' && /^link (?:add|del) /.test(command.line)));
    const [going = [], ...making] = phases.toReversed();
    const said = await execute(making.reverse(), this.#machine, this.#clock);
    if (interfacesAreNew) this.#onInterfacesChanged();
    if (rulesetIsNew && going.length > 0) await sleep(this.#clock, UNDER_WAY_MS);
    said.push(...(await execute([going], this.#machine, this.#clock)));
    said.push(...(await this.#setQueues(queues)));
    this.#wanted = wanted;
    const uplinkMtus = new Map(observed.links.map(({ name, mtu }) => [name, mtu]));
    this.#mtus = new Map(wanted.interfaces.filter(({ tunnel }) => !waiting.includes(tunnel)).map((tunnel) => [tunnel.tunnel, this.#driver.mtuOf(tunnel, uplinkMtus.get(tunnel.uplink))]));
    this.#mayHaveIpv6 = isIpv6Wanted(wanted);
    if (interfacesAreNew) this.#onInterfacesChanged();
    if (rulesetIsNew) {
      const listed = await readRuleset(this.#machine, hasIpTable);
      this.#installed = listed ? { text: rulesetKey(ruleset), digest: listed.digest } : null;
    }
    if (waiting.length > 0) said.push(`waiting for ${this.#driver.device}: ${waiting.join(', ')}`);
    if (lacksIpv6) said.push(`waiting for IPv6: it is switched off here (net.ipv6.conf.*.disable_ipv6 of all, default or ${wanted.config.lan.interface}), so none is carried`);
    return said;
  }

  async #setQueues(queues: readonly Change[]): Promise<string[]> {
    try {
      const said = await execute([[...queues]], this.#machine, this.#clock);
      this.#mayHaveQueues = false;
      return said;
    } catch (cause) {
      const problem = messageOf(cause);
      if (problem !== this.#queueProblem) this.#log.warn({ error: problem }, 'class queues could not be set; packets go unqueued');
      this.#queueProblem = problem;
      return [`waiting for class queues: ${problem}`];
    }
  }

  #asSwitchedAll(wanted: DataplaneWanted): DataplaneWanted {
    return { ...wanted, lanes: wanted.lanes.map((lane) => this.#asSwitched(lane)) };
  }

  /** A lane of an apply that was called before the lane was switched. */
  #asSwitched(lane: LaneWanted): LaneWanted {
    const switched = this.#switched.get(lane.mark);
    return switched ? { ...lane, active: switched.lane.active, ...(lane.copy === undefined ? {} : { copy: switched.lane.copy ?? null }) } : lane;
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const before = this.#turn;
    const mine = before.then(work);
    this.#turn = mine.catch(() => undefined); // the caller has the error; the next one only waits for the end
    return mine;
  }
}

function tunnelsOf(traffic: Awaited<ReturnType<typeof readTraffic>>): DataplaneCounters['tunnels'] {
  return sortedBy(traffic.flatMap(({ name, ...counts }) => (isTunnelName(name) ? [{ tunnel: name, ...counts }] : [])), ({ tunnel }) => tunnel);
}
