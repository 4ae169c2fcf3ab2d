import { familyOf, roundTo } from '../../base/index.ts';
import { type Intent, nodesOf, type PathId, pathId, type Site, type Uplink } from '../../model/index.ts';
import type { PathProfile } from '../world.ts';

/** What a path feels like from one end: the profile of its two directions, `forward` from the lesser uplink id. */
export interface PathProfiles {
  path: PathId;
  forward: PathProfile;
  reverse: PathProfile;
}

/** Light in fibre covers 200 km a millisecond; cables are about 1.4 times longer than the great circle. */
const KM_PER_MS = 200 / 1.4;

/**
 * A profile for every path between nodes of different sites (a path joins uplinks of one address family), out of the intent alone: delay from the distance and the
 * kind of access at both ends, bandwidth what the sender's upload and the receiver's download have in common.
 */
export function defaultProfiles(intent: Intent): PathProfiles[] {
  const ends = nodesOf(intent).flatMap((node) => {
    const site = intent.sites.find((one) => one.id === node.site)!;
    return node.uplinks.map((uplink) => ({ uplink, site }));
  });
  return ends.flatMap((one, index) =>
    ends.slice(index + 1).filter((other) => other.site.id !== one.site.id && familyOf(other.uplink.address) === familyOf(one.uplink.address)).map((other) => {
      const [a, b] = one.uplink.id < other.uplink.id ? [one, other] : [other, one];
      return { path: pathId(a.uplink.id, b.uplink.id), forward: profileOf(a, b), reverse: profileOf(b, a) };
    }),
  );
}

interface End {
  uplink: Uplink;
  site: Site;
}

function profileOf(from: End, to: End): PathProfile {
  const [one, other] = [accessOf(from.uplink), accessOf(to.uplink)];
  return {
    delayMs: roundTo(1 + distanceKm(from.site, to.site) / KM_PER_MS + one.delayMs + other.delayMs, 1),
    jitterMs: roundTo(Math.hypot(one.jitterMs, other.jitterMs), 2),
    lossRatio: roundTo(one.lossRatio + other.lossRatio, 5),
    bandwidthMbps: Math.min(from.uplink.upMbps, to.uplink.downMbps),
    down: false,
  };
}

type Access = Pick<PathProfile, 'delayMs' | 'jitterMs' | 'lossRatio'>;

/** What the last mile adds one way, by the words in the uplink's name and provider. */
function accessOf(uplink: Uplink): Access {
  const words = `${uplink.name} ${uplink.provider}`.toLowerCase();
  if (/lte|5g|4g|mobile|cell/.test(words)) return { delayMs: 12, jitterMs: 2, lossRatio: 0.0005 };
  if (/sat/.test(words)) return { delayMs: 20, jitterMs: 3, lossRatio: 0.001 };
  if (/dsl|cable|coax/.test(words)) return { delayMs: 4, jitterMs: 0.5, lossRatio: 0 };
  return { delayMs: 0.5, jitterMs: 0.15, lossRatio: 0 };
}

/** Great-circle distance, km (haversine, mean earth radius). */
function distanceKm(one: Site, other: Site): number {
  const radians = (degrees: number): number => (degrees * Math.PI) / 180;
  const latitude = radians(other.location.latitude - one.location.latitude);
  const longitude = radians(other.location.longitude - one.location.longitude);
  const chord =
    Math.sin(latitude / 2) ** 2 + Math.cos(radians(one.location.latitude)) * Math.cos(radians(other.location.latitude)) * Math.sin(longitude / 2) ** 2;
  return 2 * 6371 * Math.asin(Math.min(1, Math.sqrt(chord)));
}
