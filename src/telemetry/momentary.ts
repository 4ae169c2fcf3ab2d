import { sortedBy } from '../base/index.ts';
import type { HostSample, NodeId, Sample, ServicesSample, UplinkId, UplinkSample, UsersSample } from '../model/index.ts';

/** What is of use only while it is fresh: nothing is planned or forecast by it, and monitoring systems keep its history. */
export type MomentarySample = UplinkSample | HostSample;

/** Of these the newest is kept at hand, whether or not their past is. */
type Newest = MomentarySample | UsersSample | ServicesSample;

export function isMomentary(sample: Sample): sample is MomentarySample {
  return sample.kind === 'uplink' || sample.kind === 'host';
}

/** How many window lengths a sample counts after its end, at least so many ms. */
const FRESH_WINDOWS = 5;
const FRESH_MIN_MS = 3_000;

/** The newest of each uplink, each node, and each class and role whose hosts are counted. Grows with those, not with time. */
export class MomentaryBook {
  readonly #uplinks = new Map<UplinkId, UplinkSample>();
  readonly #hosts = new Map<NodeId, HostSample>();
  readonly #users = new Map<string, UsersSample>();
  readonly #services = new Map<string, ServicesSample>();

  add(sample: Newest): void {
    if (sample.kind === 'uplink') keepNewest(this.#uplinks, sample.uplink, sample);
    else if (sample.kind === 'host') keepNewest(this.#hosts, sample.node, sample);
    else if (sample.kind === 'users') keepNewest(this.#users, usersKey(sample), sample);
    else keepNewest(this.#services, servicesKey(sample), sample);
  }

  /** By uplink; those that are too old are left out. */
  uplinks(now: number): UplinkSample[] {
    return sortedBy(fresh(this.#uplinks, now), ({ uplink }) => uplink);
  }

  /** By node; those that are too old are left out. */
  hosts(now: number): HostSample[] {
    return sortedBy(fresh(this.#hosts, now), ({ node }) => node);
  }

  /** By node, group and name; those that are too old are left out. */
  users(now: number): UsersSample[] {
    return sortedBy(fresh(this.#users, now), usersKey);
  }

  /** By node, site, class and service; those that are too old are left out. */
  services(now: number): ServicesSample[] {
    return sortedBy(fresh(this.#services, now), servicesKey);
  }

  forget(before: number): void {
    for (const [key, { sampledAt }] of this.#users) if (sampledAt < before) this.#users.delete(key);
    for (const [key, { sampledAt }] of this.#services) if (sampledAt < before) this.#services.delete(key);
    for (const [uplink, { sampledAt }] of this.#uplinks) if (sampledAt < before) this.#uplinks.delete(uplink);
    for (const [node, { sampledAt }] of this.#hosts) if (sampledAt < before) this.#hosts.delete(node);
  }
}

function usersKey({ node, group, name }: UsersSample): string {
  return `${node} ${group} ${name}`;
}

function servicesKey({ node, to, classId, service }: ServicesSample): string {
  return `${node} ${to} ${classId} ${service}`;
}

function keepNewest<Key, Value extends Newest>(map: Map<Key, Value>, key: Key, sample: Value): void {
  const known = map.get(key);
  if (!known || known.sampledAt <= sample.sampledAt) map.set(key, sample);
}

function fresh<Value extends Newest>(map: ReadonlyMap<unknown, Value>, now: number): Value[] {
  return [...map.values()].filter(({ sampledAt, windowMs }) => sampledAt > now - Math.max(FRESH_MIN_MS, FRESH_WINDOWS * windowMs));
}
