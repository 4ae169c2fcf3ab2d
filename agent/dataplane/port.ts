import { type Clock, type Log, sortedBy, systemClock } from '../../src/base/index.ts';
import type { TunnelId } from '../../src/model/index.ts';
import type { DataplaneCounters, DataplanePort, DataplaneWanted, LaneWanted } from '../ports.ts';
import { clearChanges, type InstalledRuleset, laneLines, planChanges, remoteOverlaysOf, sysctlNames } from './changes.ts';
import { checkWanted } from './check.ts';
import { execute } from './execute.ts';
import { FastLanes } from './fast-lanes.ts';
import { localMachine, type Machine } from './machine.ts';
import { ESP_INTERFACE, isTunnelName, readOfferedCounter } from './names.ts';
import { observe, readCounters, readRuleset, readTraffic } from './observe.ts';
import { buildRuleset, LEAK_COUNTER, type ManagementTraffic, rulesetText } from './ruleset.ts';

export interface DataplanePortOptions {
  /** How ESP gets into the kernel; `libipsec`: in userspace, with a VXLAN interface a tunnel, on any kernel. */
  driver: 'libipsec';
  log: Log;
  clock?: Clock;
  /** What the gateway itself may send through its uplinks besides IKE, ESP and ICMP; none by default. */
  management?: readonly ManagementTraffic[];
  /** The namespace of this process unless a test says otherwise. */
  machine?: Machine;
}

/**
 * The kernel's forwarding behind `DataplanePort`, by `ip` and `nft` in this process's network namespace. One apply at
 * a time. What `apply` cannot do yet because charon's device is missing comes back as a line that begins with
 * `waiting`, on every apply until it is there; lanes through those tunnels are unreachable meanwhile.
 * @throws ForemeshError AGENT_PLAN_INVALID before anything is changed; DATAPLANE_FAILED, TOOL_MISSING
 */
export function createDataplanePort(options: DataplanePortOptions): KernelDataplanePort {
  return new KernelDataplane(options);
}

export interface KernelDataplanePort extends DataplanePort {
  /** Ends the helper process; the kernel's state stays, packets go on. */
  close(): void;
}

class KernelDataplane implements KernelDataplanePort {
  readonly #machine: Machine;
  readonly #management: readonly ManagementTraffic[];
  readonly #log: Log;
  readonly #fastLanes: FastLanes;
  #turn: Promise<unknown> = Promise.resolve();
  #installed: InstalledRuleset | null = null;
  #remoteOverlays: ReadonlyMap<TunnelId, string> = new Map();
  #lanInterface: string | null = null;
  /** Lanes by mark as they were last switched, newer than what the applies that are not done yet were given. */
  readonly #switched = new Map<number, { lane: LaneWanted; sequence: number }>();
  #switches = 0;

  constructor(options: DataplanePortOptions) {
    this.#machine = options.machine ?? localMachine;
    this.#management = options.management ?? [];
    this.#log = options.log;
    this.#fastLanes = new FastLanes(this.#machine, options.clock ?? systemClock, options.log);
  }

  async apply(wanted: DataplaneWanted): Promise<string[]> {
    checkWanted(wanted);
    const switchesKnown = this.#switches;
    return this.#inTurn(async () => {
      for (const [mark, { sequence }] of this.#switched) if (sequence <= switchesKnown) this.#switched.delete(mark);
      const newer = this.#switches;
      try {
        return await this.#applyNow({ ...wanted, lanes: wanted.lanes.map((lane) => this.#asSwitched(lane)) });
      } finally {
        // the apply may have written over what was switched while it ran
        const meanwhile = [...this.#switched.values()].filter(({ sequence }) => sequence > newer).map(({ lane }) => lane);
        if (meanwhile.length > 0) this.#writeLanes(meanwhile);
      }
    });
  }

  switchLanes(lanes: readonly LaneWanted[]): void {
    for (const lane of lanes) this.#switched.set(lane.mark, { lane, sequence: ++this.#switches });
    this.#writeLanes(lanes);
  }

  async counters(): Promise<DataplaneCounters> {
    const [counters, tunnels] = await Promise.all([readCounters(this.#machine), this.tunnelCounters()]);
    return {
      offered: counters.flatMap(({ name, packets, bytes }) => {
        const pair = readOfferedCounter(name);
        return pair ? [{ ...pair, bytes, packets }] : [];
      }),
      tunnels,
      leakPackets: counters.find(({ name }) => name === LEAK_COUNTER)?.packets ?? 0,
    };
  }

  async tunnelCounters(): Promise<DataplaneCounters['tunnels']> {
    const traffic = await readTraffic(this.#machine);
    return sortedBy(traffic.flatMap(({ name, ...counts }) => (isTunnelName(name) ? [{ tunnel: name, ...counts }] : [])), ({ tunnel }) => tunnel);
  }

  async clear(): Promise<void> {
    await this.#inTurn(async () => {
      const observed = await observe(this.#machine, []);
      await execute(clearChanges(observed, this.#lanInterface), this.#machine);
      this.#installed = null;
      this.#fastLanes.stop();
    });
  }

  close(): void {
    this.#fastLanes.stop();
  }

  async #applyNow(wanted: DataplaneWanted): Promise<string[]> {
    this.#lanInterface = wanted.config.lan.interface;
    this.#fastLanes.start();
    const observed = await observe(this.#machine, sysctlNames(wanted));
    const { phases, waiting } = planChanges(wanted, observed, this.#installed, this.#management);
    this.#remoteOverlays = remoteOverlaysOf(wanted);
    const rulesetIsNew = phases.flat().some((change) => change.commands.some((command) => command.do === 'nft'));
    if (rulesetIsNew) this.#installed = null;
    const interfacesAreNew = phases.flat().some((change) => change.commands.some((command) => command.do === 'ip' && /^link (?:add|del) /.test(command.line)));
    const said = await execute(phases, this.#machine);
    if (interfacesAreNew) this.#fastLanes.renew();
    if (rulesetIsNew) {
      const listed = await readRuleset(this.#machine);
      const text = rulesetText(buildRuleset(wanted, this.#management), { chains: [], counters: [] });
      this.#installed = listed ? { text, digest: listed.digest } : null;
    }
    return waiting.length > 0 ? [...said, `waiting for ${ESP_INTERFACE}: ${waiting.join(', ')}`] : said;
  }

  /** A lane of an apply that was called before the lane was switched. */
  #asSwitched(lane: LaneWanted): LaneWanted {
    const switched = this.#switched.get(lane.mark);
    return switched ? { ...lane, active: switched.lane.active } : lane;
  }

  #writeLanes(lanes: readonly LaneWanted[]): void {
    const lines: string[] = [];
    for (const lane of lanes) {
      const known = laneLines(lane, this.#remoteOverlays);
      if (known) lines.push(...known);
      else this.#log.warn({ mark: lane.mark, tunnel: lane.active }, 'lane not switched: its tunnel has no interface here');
    }
    this.#fastLanes.write(lines);
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const before = this.#turn;
    const mine = before.then(work);
    this.#turn = mine.catch(() => undefined); // the caller has the error; the next one only waits for the end
    return mine;
  }
}
