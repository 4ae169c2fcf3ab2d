import { findSite, nodesOf, nodeOfUplink, uplinksOfPath, type Intent, type Observation, type PathId, type Site } from '../../model/index.ts';

/** In vacuum; in fibre light is a third slower, and cables are longer than the great circle. */
const KM_PER_MS = 299.792;
const EARTH_KM = 6371;
/** Coordinates are of cities. */
const CITY_KM = 100;

/** A round trip that light could not make. */
export interface ImpossiblePath {
  path: PathId;
  latencyMs: number;
  leastMs: number;
}

/** Raises round trips that are shorter than geography permits to the least that it does, and names them. */
export function withGeography(observation: Observation, intent: Intent): { observation: Observation; impossible: ImpossiblePath[] } {
  const siteOf = new Map(nodesOf(intent).map(({ id, site }) => [id, site]));
  const impossible: ImpossiblePath[] = [];
  const paths = observation.paths.map((quality) => {
    const [one, other] = uplinksOfPath(quality.path).map((uplink) => findSite(intent, siteOf.get(nodeOfUplink(uplink))!));
    if (!one || !other || quality.latencyMs === null) return quality;
    const leastMs = (2 * Math.max(0, distanceKm(one, other) - CITY_KM)) / KM_PER_MS;
    if (quality.latencyMs >= leastMs) return quality;
    impossible.push({ path: quality.path, latencyMs: quality.latencyMs, leastMs });
    return { ...quality, latencyMs: leastMs };
  });
  return { observation: impossible.length === 0 ? observation : { ...observation, paths }, impossible };
}

function distanceKm(one: Site, other: Site): number {
  const [a, b] = [one, other].map(({ location }) => ({ latitude: (location.latitude * Math.PI) / 180, longitude: (location.longitude * Math.PI) / 180 })) as [{ latitude: number; longitude: number }, { latitude: number; longitude: number }];
  const haversine = Math.sin((a.latitude - b.latitude) / 2) ** 2 + Math.cos(a.latitude) * Math.cos(b.latitude) * Math.sin((a.longitude - b.longitude) / 2) ** 2;
  return 2 * EARTH_KM * Math.asin(Math.min(1, Math.sqrt(haversine)));
}
