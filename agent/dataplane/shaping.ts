import type { NodeConfig, NodeShaping, TunnelId } from '../../src/model/index.ts';
import type { DataplaneCounters, DataplaneWanted, QueuedFlows } from '../ports.ts';
import type { Change } from './commands.ts';
import type { Observed, ObservedShaping } from './observe.ts';
import { type Chain, conditionsOf, familiesOf, hook, quote, setOf } from './rule-words.ts';

/** Our root queue's handle, by which it is known as ours, and which packets are given as the first half of their priority. */
export const SHAPER = 'fa00';
/** The longest that a full class queue keeps a packet when the class has the uplink to itself, ms. */
const QUEUE_MS = 100;
const PACKET_BYTES = 1514;
/** A queue holds at least so many packets: a burst of a few must pass through the slowest uplink. */
const PACKETS_MIN = 10;

/** Where an uplink's queues are. */
export interface ShaperPlace {
  device: string;
  /** What is put around each packet after it left the queue, and uses the uplink too. */
  overheadBytes: number;
}

/** The place for an uplink by its interface, as the driver of tunnels has it. */
export type PlaceOf = (uplinkInterface: string) => ShaperPlace;

/**
 * Queues by class and the marking that leads packets into them. Each uplink is an HTB class with the uplink's rate; in it
 * each traffic class has a leaf with its guaranteed rate, that may borrow all of the uplink's, lowest `priority` first. A
 * leaf's queue is bounded (fq_codel where the kernel has it, else so many bytes). Packets are given their leaf as the
 * kernel's packet priority when they enter a tunnel's interface, which is the last time that their class can be seen;
 * what has none, such as probes, goes past all queues.
 */
export function shapingChanges(wanted: DataplaneWanted, observed: Observed, placeOf: PlaceOf): Change[] {
  const { shaping } = observed;
  if (!shaping) return [];
  const there = new Set(observed.links.map(({ name }) => name));
  return devicesOf(wanted, placeOf).filter(({ device }) => there.has(device)).flatMap(({ device, uplinks }): Change[] => {
    const hasRoot = shaping.qdiscs.some((qdisc) => qdisc.device === device && isOurRoot(qdisc));
    const known = { classes: hasRoot ? shaping.classes : [], qdiscs: hasRoot ? shaping.qdiscs : [] };
    const lines = [...(hasRoot ? [] : [`qdisc replace dev ${device} root handle ${SHAPER}: htb default 0`]), ...uplinks.flatMap((uplink) => uplinkLines(device, uplink, known))];
    const stale = staleLines(device, uplinks, known);
    if (lines.length === 0 && stale.length === 0) return [];
    return [{ says: `queues of ${device} set`, commands: [...lines.map(asCommand), ...stale.map(asCommand)] }];
  });
}

/** Takes our queues away from devices where none are wanted. */
export function shapingRemovals(wanted: DataplaneWanted | null, observed: Observed, placeOf: PlaceOf): Change[] {
  const kept = new Set(wanted ? devicesOf(wanted, placeOf).map(({ device }) => device) : []);
  return (observed.shaping?.qdiscs ?? [])
    .filter((qdisc) => isOurRoot(qdisc) && !kept.has(qdisc.device))
    .map(({ device }) => ({ says: `queues of ${device} removed`, commands: [{ do: 'tc' as const, line: `qdisc del dev ${device} root`, otherwise: null }] }));
}

/** The devices to look at. */
export function shapedDevices(wanted: DataplaneWanted, placeOf: PlaceOf): string[] {
  return devicesOf(wanted, placeOf).map(({ device }) => device);
}

/** Gives each forwarded packet that enters a tunnel the queue of its class at the tunnel's uplink; what the gateway itself sends, such as probes, has no lane's mark. */
export function shapingChain({ config, interfaces, steering }: DataplaneWanted): Chain[] {
  const { shaping = [] } = config;
  const families = familiesOf(config.sites.flatMap(({ prefixes }) => prefixes));
  const uplinkOf = uplinksOfTunnels(config);
  const lines = config.classes.flatMap(({ id, match }) => {
    const queues = interfaces.flatMap(({ tunnel }) => {
      const index = shaping.findIndex(({ uplink }) => uplink === uplinkOf.get(tunnel));
      const leaf = shaping[index]?.classes.findIndex((one) => one.id === id) ?? -1;
      return leaf < 0 ? [] : [`${quote(tunnel)} : ${SHAPER}:${leafOf(index, leaf)}`];
    });
    if (queues.length === 0) return [];
    const laneMarks = [...new Set(steering.filter(({ classId }) => classId === id).flatMap(({ lanes }) => lanes.map(({ mark }) => mark)))].sort((left, right) => left - right);
    const conditions = match.flatMap((one, index) => (one.fwmark === undefined || laneMarks.length > 0 ? conditionsOf(id, index, one, families, { marks: laneMarks }) : [])); // a class by mark has lanes of its own
    return conditions.map((condition) => `oifname "t-*" meta mark != 0 ${condition}meta priority set meta oifname map ${setOf(queues)} accept`);
  });
  return lines.length === 0 ? [] : [{ name: 'shape', lines: [hook('postrouting', 0), ...lines] }];
}

/** Into which uplinks' queues the flows of each (site, class) are led, with the lanes as they are; what has no tunnel just now is in none. */
export function queuedFlows({ config, steering, lanes }: Pick<DataplaneWanted, 'config' | 'steering' | 'lanes'>): QueuedFlows[] {
  if (!config.shaping) return [];
  const uplinkOf = uplinksOfTunnels(config);
  const laneOf = new Map(lanes.map((lane) => [lane.mark, lane]));
  return steering.flatMap(({ to, classId, lanes: split }) => {
    const weights = split.reduce((sum, { weight }) => sum + weight, 0);
    return split.flatMap(({ mark, weight }): QueuedFlows[] => {
      const { active = null, copy = null } = laneOf.get(mark) ?? {};
      const uplink = active === null ? undefined : uplinkOf.get(active);
      if (uplink === undefined || weight === 0) return [];
      return [{ to, classId, uplink, share: weight / weights, copyUplink: (copy === null ? undefined : uplinkOf.get(copy)) ?? null }];
    });
  });
}

function uplinksOfTunnels({ tunnels, uplinks }: NodeConfig): Map<TunnelId, string | undefined> {
  return new Map(tunnels.map((tunnel) => [tunnel.id, uplinks.find((uplink) => uplink.interface === tunnel.local.interface)?.name]));
}

/** What the queues of each class sent and dropped, from `tc`'s statistics. */
export function readQueues(config: DataplaneWanted['config'], placeOf: PlaceOf, qdiscs: readonly QueueCount[]): DataplaneCounters['shaped'] {
  return (config.shaping ?? []).flatMap(({ uplink, classes }, index) => {
    const device = placeOf(config.uplinks.find(({ name }) => name === uplink)?.interface ?? '').device;
    return classes.flatMap(({ id }, leaf) => {
      const queue = qdiscs.find((one) => one.device === device && one.parent === `${SHAPER}:${leafOf(index, leaf)}`);
      return queue ? [{ uplink, classId: id, sentPackets: queue.packets, droppedPackets: queue.drops, droppedBytes: Math.round(queue.drops * (queue.packets > 0 ? queue.bytes / queue.packets : PACKET_BYTES)) }] : [];
    });
  });
}

export interface QueueCount {
  device: string;
  parent: string | null;
  drops: number;
  /** What went through it. */
  packets: number;
  bytes: number;
}

interface ShapedUplink {
  index: number;
  shaping: NodeShaping;
  overheadBytes: number;
}

function devicesOf({ config }: DataplaneWanted, placeOf: PlaceOf): { device: string; uplinks: ShapedUplink[] }[] {
  const devices = new Map<string, ShapedUplink[]>();
  for (const [index, shaping] of (config.shaping ?? []).entries()) {
    const uplink = config.uplinks.find(({ name }) => name === shaping.uplink);
    if (!uplink) continue;
    const { device, overheadBytes } = placeOf(uplink.interface);
    devices.set(device, [...(devices.get(device) ?? []), { index, shaping, overheadBytes }]);
  }
  return [...devices].map(([device, uplinks]) => ({ device, uplinks }));
}

type Known = Pick<ObservedShaping, 'classes' | 'qdiscs'>;

/** `tc` lines, and for a leaf's queue what to have instead where the kernel has no fq_codel. */
type Line = string | { line: string; otherwise: string };

function uplinkLines(device: string, { index, shaping, overheadBytes }: ShapedUplink, known: Known): Line[] {
  const ceiling = rateText(shaping.rateKbps);
  const htb = (parent: string, id: string, rateKbps: number, priority: number | null): Line[] => {
    const rate = rateText(rateKbps);
    const found = known.classes.find((one) => one.device === device && one.id === `${SHAPER}:${id}`);
    if (found?.rate === rate && found.ceiling === ceiling && found.overheadBytes === overheadBytes && (priority === null || found.priority === priority)) return [];
    const burst = Math.max(2 * PACKET_BYTES, Math.ceil((shaping.rateKbps * 1000) / 8 / 200)); // 5 ms: more than the kernel's timers are late
    return [`class replace dev ${device} parent ${SHAPER}:${parent} classid ${SHAPER}:${id} htb rate ${rate} ceil ${ceiling} burst ${burst} cburst ${burst} quantum ${2 * PACKET_BYTES} overhead ${overheadBytes}${priority === null ? '' : ` prio ${priority}`}`];
  };
  return [
    ...htb('', uplinkClass(index), shaping.rateKbps, null),
    ...shaping.classes.flatMap(({ rateKbps, priority }, leaf) => [...htb(uplinkClass(index), leafOf(index, leaf), rateKbps, priority), ...queueLines(device, leafOf(index, leaf), shaping.rateKbps, known)]),
  ];
}

function queueLines(device: string, leaf: string, rateKbps: number, known: Known): Line[] {
  const limitBytes = Math.max(PACKETS_MIN * PACKET_BYTES, Math.ceil((rateKbps * QUEUE_MS) / 8));
  const found = known.qdiscs.find((one) => one.device === device && one.parent === `${SHAPER}:${leaf}`);
  if (found?.kind === 'fq_codel' || (found?.kind === 'bfifo' && found.limit === limitBytes)) return [];
  const parent = `dev ${device} parent ${SHAPER}:${leaf}`;
  return [{ line: `qdisc replace ${parent} fq_codel limit ${Math.ceil(limitBytes / 100)} memory_limit ${Math.max(65_536, limitBytes * 4)}`, otherwise: `qdisc replace ${parent} bfifo limit ${limitBytes}` }];
}

/** Of ours on the device that nothing wanted any more: leaves before the classes around them. */
function staleLines(device: string, uplinks: readonly ShapedUplink[], known: Known): string[] {
  const wanted = new Set(uplinks.flatMap(({ index, shaping }) => [uplinkClass(index), ...shaping.classes.map((_each, leaf) => leafOf(index, leaf))]).map((id) => `${SHAPER}:${id}`));
  const stale = known.classes.filter((one) => one.device === device && !wanted.has(one.id)).map(({ id }) => id);
  return stale.sort((left, right) => Number(left.endsWith('00')) - Number(right.endsWith('00'))).map((id) => `class del dev ${device} classid ${id}`);
}

function isOurRoot(qdisc: ObservedShaping['qdiscs'][number]): boolean {
  return qdisc.parent === null && qdisc.kind === 'htb' && qdisc.handle === `${SHAPER}:`;
}

function asCommand(line: Line): Change['commands'][number] {
  return typeof line === 'string' ? { do: 'tc', line, otherwise: null } : { do: 'tc', ...line };
}

/** `100`, `200` …: as `tc` writes them, hexadecimal. */
function uplinkClass(index: number): string {
  return ((index + 1) * 0x100).toString(16);
}

function leafOf(index: number, leaf: number): string {
  return ((index + 1) * 0x100 + leaf + 1).toString(16);
}

/** As `tc` prints a rate: the largest unit that loses nothing, and beyond a million of one the next in any case. */
export function rateText(kbps: number): string {
  const units = ['Kbit', 'Mbit', 'Gbit'];
  let value = kbps;
  let unit = 0;
  while (unit < units.length - 1 && value >= 1000 && (value % 1000 === 0 || value >= 1_000_000)) {
    value = Math.floor(value / 1000);
    unit++;
  }
  return `${value}${units[unit]}`;
}
